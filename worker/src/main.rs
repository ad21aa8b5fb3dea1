//! The worker: drives deployments on Docker Swarm, and sets an installation up. Thin: what it does
//! is in `orchestrator` and `db`.

mod audit;
mod bootstrap;
mod keyring;
mod measures;
mod run;
mod secret_file;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use model::error::chain;

use crate::settings::{Audit, Command, KeyringCommand, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    settings.log.start();
    if let Err(error) = sealing::memory::keep_to_itself() {
        tracing::error!(%error, "the kernel would show the memory of this process, which holds secrets: not started");
        return ExitCode::FAILURE;
    }
    let outcome = match settings.command {
        Command::Run(run) => run::run(run).await,
        Command::Migrate(migrate) => bootstrap::migrate(migrate).await,
        Command::Bootstrap(bootstrap) => bootstrap::bootstrap(bootstrap).await,
        Command::Keyring(KeyringCommand::List(list)) => keyring::commands::list(list).await,
        Command::Keyring(KeyringCommand::Add(add)) => keyring::commands::add(&add),
        Command::Keyring(KeyringCommand::Rotate(rotate)) => {
            keyring::commands::rotate_all(rotate).await
        }
        Command::Audit(Audit::Verify(verify)) => audit::verify(verify).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&*error), "the worker failed");
            ExitCode::FAILURE
        }
    }
}
