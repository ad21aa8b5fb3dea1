//! The twins' clock: tokio's, which a test pauses and advances, read as a time of day.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// What time it is when a clock starts, in seconds since 1970: the first of January 2026.
const EPOCH: i64 = 1_767_225_600;

/// A clock that starts at the same time in every run. Twins that know of each other's times share
/// one.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts one.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The time since it was started.
    pub fn elapsed(self) -> Duration {
        self.origin.elapsed()
    }

    /// The time of day; in microseconds, as Postgres has it.
    pub fn now(self) -> DateTime<Utc> {
        let passed = i64::try_from(self.elapsed().as_micros()).unwrap_or(i64::MAX);
        DateTime::UNIX_EPOCH + TimeDelta::seconds(EPOCH) + TimeDelta::microseconds(passed)
    }
}
