//! The health probe's safe part: what it is asked, the exchange with the app, and what it says of it.
//!
//! The program (`main.rs`) is mounted into every tenant container that has an HTTP or TCP check, and Docker runs it
//! there as the container's health command. Its interface and its lines are described in `main.rs`.
//!
//! This crate must not allocate, must not read or write files, must not talk to anything but the
//! loopback addresses of the container it runs in, and must not contain `unsafe`.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")
)]

#[cfg(test)]
extern crate std;

mod check;
mod connection;
mod finding;
mod line;
mod request;
mod status;

pub use check::{Check, Target, USAGE};
pub use finding::{Exit, Finding, Step};
pub use line::Line;

use connection::Connection;

/// Runs the check and tells what was found.
pub fn run(check: &Check<'_>) -> Finding {
    match examine(check) {
        Ok(finding) | Err(finding) => finding,
    }
}

fn examine(check: &Check<'_>) -> Result<Finding, Finding> {
    let connection = Connection::open(check.port, check.timeout_ms)?;
    match check.target {
        Target::Tcp => Ok(Finding::Connected(connection.address())),
        Target::Http { path, host } => {
            let status = request::ask(&connection, path, host)?;
            connection.drain();
            Ok(Finding::Status(status))
        }
    }
}
