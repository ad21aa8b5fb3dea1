//! What Swarm tells, in our own types. Observed, never written back: a spec that was read is not a
//! spec to send (bollard drops the health check of one).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use chrono::{DateTime, Utc};
use model::fingerprint::Fingerprint;
use model::names;

/// A service as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Swarm's id.
    pub id: String,
    /// Version to update from.
    pub version: u64,
    /// Service labels: they swap back with the spec.
    pub labels: BTreeMap<String, String>,
    /// Replicas that Swarm keeps up.
    pub replicas: i32,
    /// The image that its tasks run.
    pub image: Option<String>,
    /// Container label `skep.spec`: hash of what makes its tasks.
    pub spec_hash: Option<String>,
    /// Swarm's ids of the networks that its tasks are on.
    pub networks: Vec<String>,
    /// The virtual address that its name stands for, where it has one.
    pub virtual_address: Option<Ipv4Addr>,
    /// Swarm's ForceUpdate counter.
    pub restart_counter: i64,
    /// Whether Swarm stops at a failed update of it, as it does where something is brought back.
    pub pauses_on_failure: bool,
    /// A hash of each part of its spec that can be seen and is not told here, by Docker's name of the part.
    pub parts: BTreeMap<String, String>,
    /// How its last update goes; `None` after a creation, and after an update that changed no task.
    pub update: Option<UpdateStatus>,
}

impl Service {
    /// The value of one of our labels.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Its version as Postgres keeps it.
    pub fn version_for_the_record(&self) -> i64 {
        i64::try_from(self.version).unwrap_or(i64::MAX)
    }

    /// By what it is told from what it will be.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            version: self.version_for_the_record(),
            parts: self.parts.clone(),
            updated_at: self.update.as_ref().and_then(|update| update.started_at),
        }
    }

    /// Whether the service belongs to this installation and app.
    pub fn belongs_to(&self, platform: &str, app: &str) -> bool {
        self.label(names::LABEL_PLATFORM) == Some(platform)
            && self.label(names::LABEL_APP) == Some(app)
    }
}

/// Swarm's UpdateStatus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateStatus {
    /// How far it is.
    pub state: UpdateState,
    /// What Swarm says of it.
    pub message: String,
    /// When it began, by Swarm's clock. It stays the same when it is rolled back.
    pub started_at: Option<DateTime<Utc>>,
}

/// The state of an UpdateStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateState {
    /// Tasks are being replaced.
    Updating,
    /// Too many new tasks failed; Swarm stopped.
    Paused,
    /// Every task was replaced and watched.
    Completed,
    /// The previous spec is coming back.
    RollbackStarted,
    /// It failed too; Swarm stopped.
    RollbackPaused,
    /// The previous spec is back.
    RollbackCompleted,
}

impl UpdateState {
    /// Whether tasks have failed for it.
    pub const fn is_of_failed_tasks(self) -> bool {
        match self {
            Self::Updating | Self::Completed => false,
            Self::Paused
            | Self::RollbackStarted
            | Self::RollbackPaused
            | Self::RollbackCompleted => true,
        }
    }

    /// Whether Swarm took (or takes) the spec back.
    pub const fn is_rollback(self) -> bool {
        match self {
            Self::RollbackStarted | Self::RollbackPaused | Self::RollbackCompleted => true,
            Self::Updating | Self::Paused | Self::Completed => false,
        }
    }

    /// Swarm's own word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Updating => "updating",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackPaused => "rollback_paused",
            Self::RollbackCompleted => "rollback_completed",
        }
    }
}

/// Swarm's task states, in the order in which a task passes them. States only move forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// Waits for an address.
    New,
    /// Waits for a node.
    Pending,
    /// Has a node.
    Assigned,
    /// The node took it.
    Accepted,
    /// Its image and networks are fetched.
    Preparing,
    /// May start.
    Ready,
    /// Starts; with a health check, until that says yes.
    Starting,
    /// Runs, and is healthy where it has a health check.
    Running,
    /// Ended by itself, without an error.
    Complete,
    /// Was ended on purpose.
    Shutdown,
    /// Ended with an error.
    Failed,
    /// Its node would not have it.
    Rejected,
    /// Its service went away.
    Removed,
    /// Its node was lost.
    Orphaned,
}

impl TaskState {
    /// Swarm's own word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Removed => "removed",
            Self::Orphaned => "orphaned",
        }
    }

    /// Whether the task has ended.
    pub fn is_over(self) -> bool {
        self > Self::Running
    }
}

/// A task as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Swarm's id.
    pub id: String,
    /// Its slot: the place of a replica.
    pub slot: i64,
    /// The node that it was given.
    pub node: Option<String>,
    /// Its state.
    pub state: TaskState,
    /// The state that Swarm wants it in.
    pub desired: TaskState,
    /// When it was made, by Swarm's clock.
    pub created_at: Option<DateTime<Utc>>,
    /// When it ended, by its node's clock.
    pub ended_at: Option<DateTime<Utc>>,
    /// Swarm's error text.
    pub error: Option<String>,
    /// Exit code of its process.
    pub exit_code: Option<i64>,
    /// Its container, once there is one.
    pub container: Option<String>,
    /// Container label `skep.spec`.
    pub spec_hash: Option<String>,
    /// Swarm's ForceUpdate counter.
    pub restart_counter: i64,
}

impl Task {
    /// Whether nothing of it runs or will. One that never got a node stays NEW or PENDING for ever
    /// when Swarm does not want it any more.
    pub fn is_over(&self) -> bool {
        let unwanted = self.desired > TaskState::Running;
        self.state.is_over() || (unwanted && self.state < TaskState::Assigned)
    }
}

/// What a task that ended left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Autopsy {
    /// Last log lines, oldest first.
    pub log: Vec<String>,
    /// The last output of its health check.
    pub health: Option<String>,
    /// Whether the kernel killed it for memory.
    pub out_of_memory: bool,
}

/// Running and desired tasks of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceCount {
    /// Swarm's name of the service.
    pub name: String,
    /// The service.
    pub service: Service,
    /// Tasks that should run.
    pub desired: i32,
    /// Tasks that do.
    pub running: i32,
}

/// A secret or a config of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSecret {
    /// Swarm's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it holds a version of a tenant's.
    pub is_version: bool,
}

/// An overlay network of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedNetwork {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An overlay network as the swarm knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayNetwork {
    /// Swarm's id.
    pub id: String,
    /// Its subnets; none where Swarm could not allocate what was asked (it says nothing else).
    pub subnets: Vec<String>,
    /// Whether traffic between nodes is encrypted.
    pub encrypted: bool,
    /// Whether its containers reach nothing else.
    pub internal: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What a registry says of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageLookup {
    /// It is this digest.
    Digest(String),
    /// There is no such image.
    NotFound,
    /// The registry does not hand it out.
    Forbidden,
    /// The registry did not answer, or not in a way that decides.
    Unavailable(String),
}

/// An image as a daemon has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Its id, `sha256:…`.
    pub id: String,
    /// Whether the registry knows it in the repository that was asked for: it was pulled from
    /// there, or pushed to there.
    pub in_registry: bool,
}
