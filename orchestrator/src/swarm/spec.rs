//! What we ask Swarm for, in our own types: rendered whole from our rows each time. There is no
//! field for a bind mount, a published port, a privilege or a foreign network, so nothing upstream
//! can ask for one.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use model::id::RegistryCredentialId;
use model::secret::SecretKind;
use model::spec::{EndpointMode, RestartCondition, Tmpfs};
use model::update_policy::{FailureAction, UpdateOrder};
use secrecy::{SecretSlice, SecretString};
use serde::Serialize;

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// Its name, unique in the swarm.
    pub name: String,
    /// Service labels: changing them restarts nothing, and they swap back with the spec.
    pub labels: BTreeMap<String, String>,
    /// Replicas to keep up.
    pub replicas: i32,
    /// What makes a task.
    pub task: TaskSpec,
    /// Hash of `task`: the container label `skep.spec`.
    pub spec_hash: String,
    /// Raised, it restarts the tasks of an unchanged spec.
    pub restart_counter: i64,
    /// How an update goes.
    pub update: RolloutSpec,
    /// How Swarm's own rollback goes.
    pub rollback: RolloutSpec,
    /// How its name resolves.
    pub endpoint_mode: EndpointMode,
    /// What nodes show the image's registry. No part of what makes a task: with another one, none is replaced.
    pub login: Login,
}

/// What nodes show the registry of a service's image.
#[derive(Debug, Clone, PartialEq)]
pub enum Login {
    /// Nothing.
    Nothing,
    /// This.
    Show(RegistryLogin),
    /// What the service carries already: today's cannot be had now.
    AsBefore,
}

/// What a registry is shown.
#[derive(Clone)]
pub struct RegistryLogin {
    /// Of which credential.
    pub credential: RegistryCredentialId,
    /// Of which version of it.
    pub version: i32,
    /// Which registry.
    pub registry: String,
    /// Who logs in; `None`: the secret is an identity token.
    pub username: Option<String>,
    /// A password or a token.
    pub secret: SecretString,
}

impl PartialEq for RegistryLogin {
    fn eq(&self, other: &Self) -> bool {
        (self.credential, self.version) == (other.credential, other.version)
    }
}

impl fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryLogin({} v{})", self.credential, self.version)
    }
}

/// Everything that, changed, means new tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskSpec {
    /// `repository@sha256:…` or a local image's id.
    pub image: String,
    /// Container labels, without `skep.spec`.
    pub labels: BTreeMap<String, String>,
    /// Replaces the image's entrypoint.
    pub command: Option<Vec<String>>,
    /// Replaces the image's arguments.
    pub args: Option<Vec<String>>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// User inside the container.
    pub user: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Signal that asks it to end.
    pub stop_signal: String,
    /// How long it may take to.
    pub stop_grace_period: Duration,
    /// Health check.
    pub health_check: Option<Healthcheck>,
    /// Read-only root file system.
    pub read_only: bool,
    /// An init as process 1.
    pub init: bool,
    /// Memory-backed directories.
    pub tmpfs: Vec<Tmpfs>,
    /// Configs mounted as files.
    pub configs: Vec<MountedFile>,
    /// Secrets mounted as files. Left out where there are none, so that a task without any is the same task to every version of Skep.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<MountedFile>,
    /// Limit, in billionths of a core.
    pub cpu_limit_nanos: i64,
    /// Reserved on the node, in billionths of a core.
    pub cpu_reserved_nanos: i64,
    /// Limit in bytes.
    pub memory_limit_bytes: i64,
    /// Reserved on the node, in bytes.
    pub memory_reserved_bytes: i64,
    /// Most processes and threads.
    pub pids_limit: i64,
    /// When an ended task is replaced.
    pub restart: RestartCondition,
    /// After which pause.
    pub restart_delay: Duration,
    /// Constraints on nodes.
    pub constraints: Vec<String>,
    /// Id of the one network that it joins.
    pub network: String,
    /// Its names there.
    pub aliases: Vec<String>,
}

/// A health check as Docker runs it: a command inside the container.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Healthcheck {
    /// Program and arguments (exec form).
    pub command: Vec<String>,
    /// Between two runs.
    pub interval: Duration,
    /// For one run.
    pub timeout: Duration,
    /// After the start, in which failures do not count.
    pub start_period: Duration,
    /// Failures in a row that decide.
    pub retries: u32,
}

/// A config or a secret mounted as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountedFile {
    /// Swarm's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Absolute path in the container.
    pub path: String,
    /// Mode bits of the file.
    pub mode: u32,
}

/// How tasks are replaced. Every field is always sent: Swarm's own defaults are stop-first, pause
/// and 5 s.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutSpec {
    /// Tasks at once.
    pub parallelism: u32,
    /// Between two batches.
    pub delay: Duration,
    /// How long a new task is watched.
    pub monitor: Duration,
    /// Share of failures before `failure_action`.
    pub max_failure_ratio: f32,
    /// Start-first or stop-first.
    pub order: UpdateOrder,
    /// What Swarm does on its own.
    pub failure_action: FailureAction,
}

/// An overlay network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name, unique in the swarm.
    pub name: String,
    /// Its subnet.
    pub subnet: ipnet::IpNet,
    /// MTU option of the driver, in bytes.
    pub mtu: Option<i32>,
    /// Whether what crosses between nodes is encrypted.
    pub encrypted: bool,
    /// Whether its containers reach nothing else.
    pub internal: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A config: a small file that Swarm distributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSpec<'a> {
    /// Its name, unique in the swarm.
    pub name: String,
    /// Its content, below 1,024,000 bytes.
    pub content: &'a [u8],
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A tenant's secret or config.
#[derive(Debug)]
pub struct SecretSpec<'a> {
    /// Which of the two.
    pub kind: SecretKind,
    /// Its name, unique in the swarm among its kind.
    pub name: String,
    /// Its value: what is written nowhere else.
    pub value: &'a SecretSlice<u8>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}
