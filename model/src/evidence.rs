//! Evidence: what was seen in Swarm when a deployment went wrong. Taken at once, because Swarm
//! drops tasks and their logs.

use serde::{Deserialize, Serialize};

/// Most task records kept with a deployment.
pub const MAX_TASKS: usize = 50;
/// Most log lines kept of a failed task.
pub const MAX_LOG_LINES: usize = 100;
/// Longest log line kept, in characters.
pub const MAX_LOG_LINE: usize = 2_000;

/// What proves a verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The stage in which it went wrong (a deployment status).
    pub stage: String,
    /// The tasks that failed since the deployment began, newest first, then those that should run
    /// (of whichever release).
    pub tasks: Vec<TaskRecord>,
    /// The last log lines of the task that failed, oldest first.
    pub log: Vec<String>,
    /// Swarm's UpdateStatus at that moment: state and message.
    pub update_status: Option<String>,
}

/// One task as Swarm told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Swarm's id of the task.
    pub id: String,
    /// Its slot: the place of a replica that tasks follow each other in.
    pub slot: i64,
    /// The node that it was given, if any.
    pub node: Option<String>,
    /// Swarm's state.
    pub state: String,
    /// The state that Swarm wants it in.
    pub desired_state: String,
    /// Swarm's error.
    pub error: Option<String>,
    /// Exit code of its process.
    pub exit_code: Option<i64>,
    /// Last output of its health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}
