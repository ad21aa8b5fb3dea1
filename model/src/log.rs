//! Logs: what the replicas of an app print, as an API asks a worker for it and is answered, over the broker. Nothing of it is kept.

use serde::{Deserialize, Serialize};

pub use crate::log_cursor::{InvalidCursor, LogCursor, MAX_CURSOR_TASKS, is_task_id};

use crate::id::{AppId, DeploymentId};
use crate::text_enum::text_enum;

/// The version of these forms.
pub const LOG_VERSION: u16 = 1;
/// Longest line, in bytes; what is longer is cut.
pub const MAX_LINE: usize = 16 * 1024;
/// Most lines of each replica that are looked back upon.
pub const MAX_TAIL: u32 = 10_000;

text_enum! {
    /// Where a line was printed to.
    pub enum Output {
        /// Standard output.
        Stdout => "stdout",
        /// Standard error.
        Stderr => "stderr",
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// Of which app.
    pub app: AppId,
    /// Of the tasks of this deployment only.
    pub deployment: Option<DeploymentId>,
    /// Of this task only, by Swarm's id.
    pub task: Option<String>,
    /// Lines of each task that are looked back upon, the last ones; `None`: all.
    pub tail: Option<u32>,
    /// Lines from then on, in nanoseconds since 1970.
    pub since: Option<i64>,
    /// Lines before then, likewise.
    pub until: Option<i64>,
    /// Lines that have this text in them.
    pub contains: Option<String>,
    /// Go on with what comes.
    pub follow: bool,
    /// What was given already.
    pub after: LogCursor,
}

/// A line that a replica printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Swarm's id of its task.
    pub task: String,
    /// The place of the replica.
    pub slot: i64,
    /// Where it was printed to.
    pub output: Output,
    /// When Docker read it, in nanoseconds since 1970.
    pub at: i64,
    /// The line, without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// A task whose log it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogTask {
    /// Swarm's id.
    pub task: String,
    /// The place of the replica.
    pub slot: i64,
}

/// What a worker answers with, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "log", rename_all = "snake_case")]
pub enum LogEvent {
    /// Lines, in the order of their time.
    Lines {
        /// Which.
        lines: Vec<LogLine>,
        /// Lines before them that were too many, and are not given.
        dropped: u64,
    },
    /// How far was read by now, beyond the lines that were given: over those that are not asked for, and without the tasks that are gone.
    Read {
        /// As far as this.
        cursor: LogCursor,
    },
    /// Of these tasks lines are missing here: their nodes do not answer, or they print faster than they are read.
    Missing {
        /// Which.
        tasks: Vec<LogTask>,
    },
    /// The worker is there.
    Beat,
    /// The worker gives as many logs as it can: another may have room.
    Busy,
    /// There is no more.
    End,
    /// The worker cannot go on: a sentence.
    Failed {
        /// Why.
        why: String,
    },
}
