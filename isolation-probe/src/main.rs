//! The isolation probe: a program that runs as a task on a tenant's network and tries what can be reached from there. The
//! worker starts it and reads what it prints: a line of JSON for each finding.
//!
//! `isolation-probe listen ADDRESS` answers on the network that ADDRESS is on, until it is stopped. `isolation-probe reach PLAN` carries out
//! a plan (JSON), all attempts at once, and ends. `isolation-probe routes` prints the routes of where it runs.

mod attempt;
mod echo;
mod listen;
mod name;
mod route;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let outcome = match (arguments.next().as_deref(), arguments.next()) {
        (Some("listen"), Some(address)) => listen::listen(&address),
        (Some("reach"), Some(plan)) => attempt::carry_out(&plan),
        (Some("routes"), None) => route::print(),
        _ => Err("isolation-probe listen ADDRESS | reach PLAN | routes".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isolation-probe: {error}");
            ExitCode::FAILURE
        }
    }
}
