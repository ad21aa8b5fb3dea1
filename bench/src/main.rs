//! `bench`: the benchmarks behind `./dev bench`. Each starts an API and a worker of its own, from
//! the directory of its own program, on a database of its own, and says by its numbers which aims
//! of PRODUCT.md hold.
//!
//! It must not judge: what it prints is for people, and its status tells only whether it could
//! measure (and whether the fault search found something).
#![allow(clippy::print_stdout, reason = "standard output is what this program is for")]

mod aim;
mod api;
mod cancel;
mod crowd;
mod deploy;
mod faults;
mod figures;
mod images;
mod installation;
mod logins;
mod logs;
mod machine;
mod networks;
mod operation;
mod process;
mod progress;
mod raw;
mod recovery;
mod report;
mod rounds;
mod settings;
mod skep;
mod start;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::settings::{Benchmark, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    let Settings { directory, benchmark } = Settings::parse();
    let outcome = match benchmark.unwrap_or_default() {
        Benchmark::Deploy(settings) => deploy::run(&directory, &settings).await,
        Benchmark::Logins(settings) => logins::run(&directory, &settings).await,
        Benchmark::Logs(settings) => logs::run(&directory, &settings).await,
        Benchmark::Api(settings) => api::run(&directory, &settings).await,
        Benchmark::Networks(settings) => networks::run(&directory, &settings).await,
        // Its stories have runtimes of their own.
        Benchmark::Faults(settings) => tokio::task::block_in_place(|| faults::run(&settings)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::failure(&error);
            ExitCode::FAILURE
        }
    }
}
