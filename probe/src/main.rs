//! `skep-probe`: the health probe that the platform mounts into every tenant container that has an HTTP or TCP check
//! (a Swarm config, mode 0555, target `/skep-probe`), where Docker runs it as the container's health command.
//!
//! ```text
//! skep-probe tcp  PORT TIMEOUT_MS               healthy when a TCP connection succeeds
//! skep-probe http PORT TIMEOUT_MS PATH [HOST]   healthy when GET PATH answers 200 to 399
//! ```
//!
//! It connects to 127.0.0.1 and, where that is refused, to [::1]. The time-out bounds the whole exchange. The status
//! line decides: a body that never ends does not make an app unhealthy. Redirects are not followed.
//!
//! Exit codes: 0 healthy, 1 unhealthy, 2 usage. In each case it prints one line on stdout, which Docker keeps as the
//! health log and from which the platform reads the cause. These beginnings are stable:
//!
//! ```text
//! connect ADDRESS: ok                      0  (tcp)
//! http STATUS                              0 or 1
//! connect ADDRESS: CAUSE                   1  refused, unreachable, forbidden, reset, errno N
//! timeout after N ms STEP                  1  connecting, sending the request, waiting for the status line
//! closed before the status line            1
//! broken while STEP: CAUSE                 1
//! not http: "EXCERPT"                      1  the first bytes of the answer, unprintable ones as dots
//! probe failed: CAUSE                      1  the probe's own fault
//! usage: …                                 2
//! ```
//!
//! It must run in an image FROM scratch, as any user, in a read-only file system, and fit into a Swarm config
//! (1,024,000 bytes). So: static, no C library, no allocator, no files, no clock, no name resolution. It must never
//! write anything but its line, and must never reach anything but the container's own loopback.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod memory;
mod start;

use skep_probe::{Check, Exit, Line, USAGE, run};

/// What `_start` calls once it has found the arguments.
fn main(arguments: start::Arguments) -> Exit {
    // The first is the program's own name.
    match Check::parse(arguments.skip(1)) {
        Some(check) => {
            let finding = run(&check);
            start::print(&Line::of(&finding));
            finding.exit()
        }
        None => {
            start::print(&Line::of(USAGE));
            Exit::Usage
        }
    }
}
