//! The seeded fault search: whole stories of deployments, told by the production runner and driver
//! on the twins of ledger and Swarm, under a paused clock, with everything that can fail failing. A
//! seed is a story: the same one each time, so that what was found can be looked at.
//!
//! The ledger is the twin in memory ([`run`]), or a real Postgres that goes by the story's clock
//! ([`StoryDatabase`]). The story is the same on either, word for word.
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
mod names;
mod postgres_ledger;
mod story;
mod story_database;
mod story_ledger;
mod world;

use std::collections::BTreeMap;

use model::status::Status;

pub use self::life::Planted;
pub use self::many::{Found, search, search_on_postgres};
pub use self::story_database::StoryDatabase;
use crate::twin::clock::Clock;
use crate::twin::ledger::MemoryLedger;

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

impl Report {
    /// The first line in which another telling of the story is another story.
    fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let line = |told: &[String], at: usize| told.get(at).cloned().unwrap_or_default();
        let lines = 0..self.told.len().max(other.told.len());
        let first = lines.map(|at| (line(&self.told, at), line(&other.told, at)));
        let first = first.into_iter().find(|(one, another)| one != another);
        Some(format!(
            "told otherwise in memory: {first:?}, {} and {} calls",
            self.calls, other.calls
        ))
    }
}

/// Tells the story of a seed in memory. `planted`: with this defect in the way, which has to be found.
pub fn run(seed: u64, planted: Option<Planted>) -> Report {
    story(async {
        let clock = Clock::start();
        world::tell(MemoryLedger::new(clock, cast::platform()), clock, seed, planted).await
    })
}

/// Tells a story under a clock of its own, which stands still until everybody waits for it.
#[expect(clippy::expect_used, reason = "without a runtime there is no story to tell")]
fn story(told: impl Future<Output = Report>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(told)
}
