//! Update policies and deadlines: how fast an app may change, and how long each stage may take.
//! The defaults are PRODUCT.md's ("Domain rules"); `safe` has the seeds' values.

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// Which comes first when a task is replaced.
    pub enum UpdateOrder {
        /// The new task runs before the old one is stopped.
        StartFirst => "start-first",
        /// The old task is stopped before the new one starts.
        StopFirst => "stop-first",
    }
}

text_enum! {
    /// What Swarm does by itself when too many new tasks fail.
    pub enum FailureAction {
        /// Swaps the previous spec back: the safety net for when no worker is up.
        Rollback => "rollback",
        /// Stops the update; the worker brings the stable release back.
        Pause => "pause",
    }
}

/// How tasks are replaced. All times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdatePolicy {
    /// Tasks replaced at once (1–100).
    pub parallelism: u32,
    /// Pause between two batches (0–600).
    pub delay_seconds: u32,
    /// How long a new task is watched after it runs (5–900, at least `delay` + 5: with less,
    /// SwarmKit misses failures, moby #37972). Also the window of our own verdict.
    pub monitor_seconds: u32,
    /// Share of new tasks that may fail before Swarm acts (0–1). Our own verdict tolerates none.
    pub max_failure_ratio: f32,
    /// Start-first or stop-first.
    pub order: UpdateOrder,
    /// Swarm's own safety net.
    pub failure_action: FailureAction,
}

impl UpdatePolicy {
    /// One task at a time, 10 s apart, each watched for 15 s.
    pub const SAFE: Self = Self {
        parallelism: 1,
        delay_seconds: 10,
        monitor_seconds: 15,
        max_failure_ratio: 0.3,
        order: UpdateOrder::StartFirst,
        failure_action: FailureAction::Rollback,
    };

    /// One task at a time without a pause, each watched for 5 s.
    pub const FAST: Self = Self { delay_seconds: 0, monitor_seconds: 5, ..Self::SAFE };
}

/// How long each stage may take, in seconds. Swarm has no deadlines of its own
/// (`updateTask` in SwarmKit waits for ever), so these are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// NEW and PENDING: until a node is found (10–1800).
    pub schedule_seconds: u32,
    /// ASSIGNED to PREPARING: until the image is there (30–3600).
    pub pull_seconds: u32,
    /// READY and STARTING: until RUNNING, that is healthy (5–1800).
    pub healthy_seconds: u32,
    /// Between two replicas that become healthy (60–7200).
    pub progress_seconds: u32,
    /// Which of them the app does not state: the platform's, as they were when this was written. A
    /// release states all. An older version ignores this.
    #[serde(default, skip_serializing_if = "Unstated::is_none")]
    pub unstated: Unstated,
}

/// Which deadlines an app does not state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unstated {
    /// [`Deadlines::schedule_seconds`].
    pub schedule: bool,
    /// [`Deadlines::pull_seconds`].
    pub pull: bool,
    /// [`Deadlines::healthy_seconds`].
    pub healthy: bool,
    /// [`Deadlines::progress_seconds`].
    pub progress: bool,
}

impl Unstated {
    /// None is stated.
    pub const ALL: Self = Self { schedule: true, pull: true, healthy: true, progress: true };

    /// Whether all are stated.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Deadlines {
    /// These, with the platform's where none is stated.
    #[must_use]
    pub fn settled(self, platform: &Self) -> Self {
        let choose = |unstated: bool, own, platforms| if unstated { platforms } else { own };
        let of = self.unstated;
        Self {
            schedule_seconds: choose(of.schedule, self.schedule_seconds, platform.schedule_seconds),
            pull_seconds: choose(of.pull, self.pull_seconds, platform.pull_seconds),
            healthy_seconds: choose(of.healthy, self.healthy_seconds, platform.healthy_seconds),
            progress_seconds: choose(of.progress, self.progress_seconds, platform.progress_seconds),
            unstated: of,
        }
    }

    /// These as a release states them: what the platform is set to later changes no release.
    #[must_use]
    pub fn frozen(self) -> Self {
        Self { unstated: Unstated::default(), ..self }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            schedule_seconds: 120,
            pull_seconds: 300,
            healthy_seconds: 60,
            progress_seconds: 600,
            unstated: Unstated::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_stated_is_the_platforms_until_it_is_frozen() {
        let platform = Deadlines {
            schedule_seconds: 10,
            pull_seconds: 30,
            healthy_seconds: 5,
            progress_seconds: 60,
            unstated: Unstated::default(),
        };
        let stated = Deadlines {
            pull_seconds: 99,
            unstated: Unstated { pull: false, ..Unstated::ALL },
            ..Deadlines::default()
        };
        let settled = stated.settled(&platform);
        assert_eq!(settled, Deadlines { pull_seconds: 99, unstated: stated.unstated, ..platform });
        assert_eq!(settled.frozen(), Deadlines { pull_seconds: 99, ..platform });
        assert_eq!(settled.frozen().settled(&Deadlines::default()), settled.frozen());
    }

    #[test]
    fn what_an_older_version_wrote_states_all() {
        let older =
            r#"{"schedule_seconds":1,"pull_seconds":2,"healthy_seconds":3,"progress_seconds":4}"#;
        let read: Deadlines = serde_json::from_str(older).unwrap();
        assert_eq!(read, read.frozen());
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            older,
            "and a release is written the same"
        );
    }
}
