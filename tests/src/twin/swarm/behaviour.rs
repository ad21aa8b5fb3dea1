//! What an image's tasks do: how long each stage takes, and how they end.

use std::time::Duration;

/// How tasks of one image behave. Times are stretched or shortened a little, by chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// Until a node is found.
    pub schedule: Stage,
    /// Until the image is on the node.
    pub pull: Pull,
    /// From the start of the process until its health check says yes; `None`: it never does.
    /// Without a health check a task runs at once.
    pub healthy_after: Option<Duration>,
    /// From the start of the process until it ends by itself.
    pub ends: Option<(Duration, End)>,
    /// From SIGTERM to its end; the spec's grace period bounds it.
    pub stops_after: Duration,
}

/// A stage of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It takes so long.
    Takes(Duration),
    /// It never ends.
    Never,
}

/// How an image reaches a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// It takes so long.
    Takes(Duration),
    /// It never ends.
    Never,
    /// There is no such image: the node rejects the task.
    Missing,
}

/// How a process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this code.
    Exit(i64),
    /// Its health check gives up; told to stop, it ends with this code. Without a health check it
    /// runs on.
    Unhealthy(i64),
    /// The kernel kills it.
    OutOfMemory,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::healthy(Duration::from_secs(1))
    }
}

impl Behaviour {
    /// Healthy after so long, for ever.
    pub const fn healthy(after: Duration) -> Self {
        Self {
            schedule: Stage::Takes(Duration::from_millis(60)),
            pull: Pull::Takes(Duration::from_millis(150)),
            healthy_after: Some(after),
            ends: None,
            stops_after: Duration::from_millis(200),
        }
    }

    /// Never healthy: its health check gives up after so long. It does not handle SIGTERM.
    pub const fn unhealthy(after: Duration) -> Self {
        Self {
            healthy_after: None,
            ends: Some((after, End::Unhealthy(143))),
            ..Self::healthy(Duration::ZERO)
        }
    }

    /// Ends with this code after so long; healthy before, if `after` leaves a second for that.
    pub const fn crashes(after: Duration, code: i64) -> Self {
        Self { ends: Some((after, End::Exit(code))), ..Self::healthy(Duration::from_secs(1)) }
    }

    /// Killed for its memory after so long.
    pub const fn out_of_memory(after: Duration) -> Self {
        Self { ends: Some((after, End::OutOfMemory)), ..Self::healthy(Duration::from_secs(1)) }
    }

    /// No node has it, and none can pull it.
    pub const fn missing() -> Self {
        Self { pull: Pull::Missing, ..Self::healthy(Duration::ZERO) }
    }

    /// Its pull never ends.
    pub const fn never_pulled() -> Self {
        Self { pull: Pull::Never, ..Self::healthy(Duration::ZERO) }
    }

    /// No node has room for it.
    pub const fn never_scheduled() -> Self {
        Self { schedule: Stage::Never, ..Self::healthy(Duration::ZERO) }
    }

    /// The last lines that a task of it has written, oldest first.
    pub(super) fn log(&self, started: bool, over: bool) -> Vec<String> {
        let mut lines = Vec::new();
        if !started {
            return lines;
        }
        lines.push("listens on port 8080".to_owned());
        match self.ends {
            Some((after, End::Exit(_) | End::OutOfMemory)) if over => {
                lines.push(format!("fatal: giving up after {} s", after.as_secs_f64()));
            }
            Some((_, End::Unhealthy(_))) => {
                lines.push("error: no connection to the database; /health answers 500".to_owned());
            }
            _ => {}
        }
        lines
    }
}
