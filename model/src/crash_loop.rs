//! Crash loops: apps whose tasks keep ending. Swarm starts a task again after a fixed delay, for ever;
//! so the platform slows such an app down: for a while it keeps up only the replicas that run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::{AppId, DeploymentId, OrganizationId};
use crate::schema::crash_loops;

/// An app that is slowed down, or was until a while ago.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = crash_loops)]
pub struct CrashLoop {
    /// The app.
    pub app_id: AppId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// The deployment that wrote its service: a newer one ends the crash loop.
    pub deployment_id: DeploymentId,
    /// How often it was slowed down in a row, from 1.
    pub rounds: i16,
    /// Replicas that are kept up until it is tried again.
    pub kept: i32,
    /// When all of its replicas are tried again.
    pub resumes_at: DateTime<Utc>,
    /// When all of them had run through the window after that.
    pub recovered_at: Option<DateTime<Utc>>,
    /// What its replicas ended with, in a sentence.
    pub cause: String,
}

/// How long an app waits before its next try, in the round of this number (from 1): 20 s, then twice as
/// long each time, up to 5 min (Kubernetes' numbers for CrashLoopBackOff, from its second restart on:
/// Swarm has restarted the tasks by itself before).
pub fn pause(round: i16) -> Duration {
    const FIRST: Duration = Duration::from_secs(20);
    const LONGEST: Duration = Duration::from_secs(300);
    let doublings = u32::from(round.unsigned_abs()).saturating_sub(1).min(8);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_twice_the_last_until_five_minutes() {
        let seconds: Vec<u64> = (1..=6).map(|round| pause(round).as_secs()).collect();
        assert_eq!(seconds, [20, 40, 80, 160, 300, 300]);
        assert_eq!(pause(i16::MAX).as_secs(), 300);
    }
}
