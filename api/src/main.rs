//! The `api` process: settings, logs, signals; the rest is the library's.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use api::{LogFormat, Settings};
use clap::Parser as _;
use model::error::chain;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    start_log(&settings);
    if let Err(error) = sealing::memory::keep_to_itself() {
        tracing::error!(%error, "the kernel would show the memory of this process, which holds secrets: not started");
        return ExitCode::FAILURE;
    }
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&*error), "the API failed");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let shutdown = CancellationToken::new();
    end_with_signals(shutdown.clone())?;
    api::serve(settings, listener, shutdown).await
}

fn start_log(settings: &Settings) {
    // Its syntax was checked with the settings.
    let filter = EnvFilter::new(&settings.log);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    // A panic is answered with 500 and must be in the same log as everything else.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic")));
}

/// SIGTERM and SIGINT ask to stop; a second one changes nothing, the drain is bounded.
fn end_with_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop: finishing the requests in progress");
        shutdown.cancel();
    });
    Ok(())
}
