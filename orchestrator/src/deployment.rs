//! One deployment, driven to its verdict: observe → plan → act → transition, again and again.
//!
//! `observation` is what is seen, `plan` decides the next step from it (pure), `act` has one effect
//! and can be run twice, `cause` finds out why, `evidence` keeps what was seen, `verdict` says both, and
//! `drive` holds the loop together under a lease, without which `leased` lets no effect through.

mod act;
mod cause;
mod drive;
mod evidence;
mod leased;
mod observation;
mod plan;
mod target;
mod verdict;

pub(crate) use cause::ended as why_it_ended;
pub use drive::{Driver, Drove};
pub(crate) use evidence::record;
pub(crate) use observation::forgets_tasks;
