//! What is found on one node, through its own daemon.

use model::id::AppId;

/// A container of a task of an app's that runs on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundContainer {
    /// Swarm's id of its task.
    pub task: String,
    /// The task's name.
    pub name: String,
    /// The app.
    pub app: AppId,
}

/// An end of a network that no container on the node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseEndpoint {
    /// The network's name.
    pub network: String,
    /// Docker's id of it.
    pub id: String,
    /// What Docker calls it: after the task that it was of.
    pub name: String,
    /// Its address, with the length of the network's prefix.
    pub address: String,
}
