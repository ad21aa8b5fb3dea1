//! `demo`: the story behind `./dev demo`. An operator makes two organizations; both deploy an app of
//! the same name; one updates it under a stream of requests, deploys a broken version and sees it
//! come back by itself, and rolls back by hand.
//!
//! It uses Skep through the public API only. Docker and Postgres it asks as witnesses: where they
//! tell another story than the API did, the demo ends with a sentence and a status other than 0.
//! It must not change anything through them.
#![allow(clippy::print_stdout, reason = "standard output is what this program is for")]

mod agreement;
mod answers;
mod client;
mod docker;
mod farewell;
mod ledger;
mod narrator;
mod settings;
mod story;
mod table;
mod tenant;
mod verdict;
mod visitor;

use std::process::ExitCode;

use clap::Parser as _;

use crate::settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let told = tokio::select! {
        told = story::tell(settings) => told,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted; run it again at will")),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            narrator::failure(&error);
            ExitCode::FAILURE
        }
    }
}
