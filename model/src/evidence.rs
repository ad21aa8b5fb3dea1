//! Evidence: what was seen in Swarm when a deployment went wrong. Taken at once, because Swarm
//! drops tasks and their logs.

use std::net::Ipv4Addr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Most task records kept with a deployment.
pub const MAX_TASKS: usize = 50;
/// Most log lines kept of a failed task.
pub const MAX_LOG_LINES: usize = 100;
/// Longest log line kept, in characters.
pub const MAX_LOG_LINE: usize = 2_000;
/// Most changes of UpdateStatus kept with a deployment: the newest ones.
pub const MAX_UPDATE_STATUSES: usize = 50;

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
    /// What UpdateStatus became one after the other, from the first look after Swarm had the
    /// deployment's spec to the deployment's end, oldest first. What passes between two looks is
    /// not in it, nor what a driver saw that died: its successor's list starts afresh, and where
    /// the evidence is the dead one's, so is the list. Rows of older versions have none.
    #[serde(default)]
    pub update_statuses: Vec<UpdateStatusRecord>,
}

/// One change of Swarm's UpdateStatus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateStatusRecord {
    /// Swarm's word: `updating`, `paused`, `completed`, `rollback_started`, ….
    pub state: String,
    /// Swarm's message.
    pub message: String,
    /// When it was first seen so, by Postgres's clock.
    pub seen_at: DateTime<Utc>,
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
    /// Its address on its environment's network: known of a task that runs, in live status, where its node's daemon is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Swarm's state.
    pub state: String,
    /// The state that Swarm wants it in.
    pub desired_state: String,
    /// Swarm's error.
    pub error: Option<String>,
    /// Exit code of its process.
    pub exit_code: Option<i64>,
    /// When it ended, by its node's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether the kernel killed it at its memory limit. Known of the one task whose container was
    /// looked at, where that ran on the worker's own node.
    #[serde(default)]
    pub out_of_memory: bool,
    /// Last output of its health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_of_older_versions_are_read() {
        let task = json!({
            "id": "t", "slot": 1, "node": null, "state": "failed", "desired_state": "shutdown",
            "error": "task: non-zero exit (1)", "exit_code": 1,
        });
        let row =
            json!({ "stage": "updating", "tasks": [task], "log": ["x"], "update_status": null });
        let read: Evidence = serde_json::from_value(row).unwrap();
        assert!(read.update_statuses.is_empty());
        assert!(!read.tasks[0].out_of_memory && read.tasks[0].ended_at.is_none());
    }
}
