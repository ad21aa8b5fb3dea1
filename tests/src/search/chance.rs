//! Chance, from one seed, for everything in a story that could go one way or the other.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;

/// Where chance comes from. Shared by everybody in a story: they take turns, always the same ones.
#[derive(Debug)]
pub(super) struct Chance(Mutex<Rng>);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(Rng::with_seed(seed)))
    }

    /// True so many times in a thousand.
    pub(super) fn in_thousand(&self, times: u32) -> bool {
        self.rng().u32(0..1000) < times
    }

    /// A number of this range.
    pub(super) fn of(&self, range: RangeInclusive<u64>) -> u64 {
        self.rng().u64(range)
    }

    /// Milliseconds of this range.
    pub(super) fn millis(&self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.of(range))
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&self, of: &[T]) -> T {
        let index = self.rng().usize(0..of.len());
        of[index]
    }

    fn rng(&self) -> MutexGuard<'_, Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
