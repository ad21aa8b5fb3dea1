//! One deployment, driven to its verdict: observe → plan → act → transition, again and again.
//!
//! `observation` is what is seen, `plan` decides the next step from it (pure), `act` has one effect
//! and can be run twice, `cause` finds out why, and `drive` holds the loop together under a lease,
//! without which `leased` lets no effect through.

mod act;
mod cause;
mod drive;
mod leased;
mod observation;
mod plan;
mod target;

pub(crate) use cause::{ended as why_it_ended, record};
pub use drive::{Driver, Drove};
