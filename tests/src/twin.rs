//! Twins in memory of what the orchestrator drives and is driven by, for the seeded fault search. No
//! twin does I/O, sleeps or reads another clock than tokio's: one seed is one run. Each is held to
//! the real thing by a suite in [`crate::contract`]; what no suite asks for, a twin must not pretend
//! to know.

pub mod clock;
pub mod ledger;
pub mod swarm;
pub mod vault;
