//! The seeded fault search: whole stories of deployments, told by the production runner and driver
//! on the twins of ledger and Swarm, under a paused clock, with everything that can fail failing. A
//! seed is a story: the same one each time, so that what was found can be looked at.
//!
//! What is believed of Skep is checked while it happens and at the end (`judge`): every accepted
//! deployment ends once, with a verdict that is true of the swarm; at most one drives an app; no
//! effect without a lease; what the API names live is live.

mod broker;
mod cast;
mod chance;
mod faulty_ledger;
mod faulty_swarm;
mod judge;
mod life;
mod many;
mod story;
mod world;

use std::collections::BTreeMap;

use model::status::Status;

pub use self::life::Planted;
pub use self::many::{Found, search};

/// What became of one story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub seed: u64,
    /// How its deployments ended.
    pub ends: BTreeMap<Status, usize>,
    /// Calls of the workers to ledger and Swarm.
    pub calls: u64,
    /// Workers that died.
    pub deaths: u64,
    /// Every event of every timeline, in order: two runs of a seed are equal in it.
    pub told: Vec<String>,
    /// What should never have happened.
    pub violations: Vec<String>,
}

/// Tells the story of a seed. `planted`: with this defect in the way, which has to be found.
///
/// # Panics
/// Where no runtime can be had.
#[expect(clippy::expect_used, reason = "without a runtime there is no story to tell")]
pub fn run(seed: u64, planted: Option<Planted>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(world::tell(seed, planted))
}
