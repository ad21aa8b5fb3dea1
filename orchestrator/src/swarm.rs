//! Docker Swarm, as the orchestrator needs it: a trait in our own words, and the types that it
//! speaks. `docker` is the real one (the only place that knows bollard); the seeded fault search
//! brings a simulated one.
//!
//! Every call is one request to the daemon, bounded by [`CALL`], and safe to repeat.

pub mod docker;
mod node;
pub mod node_findings;
mod observed;
mod spec;
pub mod survey;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures::Stream;
use model::evidence::MAX_LOG_LINES;
use model::secret::SecretKind;

pub use docker::DockerSwarm;
pub use node::{Node, Resources};
pub use observed::{
    Autopsy, ImageLookup, ListedNetwork, ListedSecret, LocalImage, OverlayNetwork, Service,
    ServiceCount, Task, TaskState, UpdateState, UpdateStatus,
};
pub use spec::{
    ConfigSpec, Healthcheck, Login, MountedFile, NetworkSpec, RegistryLogin, RolloutSpec,
    SecretSpec, ServiceSpec, TaskSpec,
};

/// The longest that one call may take. A worker begins none that changes something with less of its
/// lease left.
pub const CALL: Duration = Duration::from_secs(4);

/// Most log lines that are read of a failed task.
pub const LOG_LINES: usize = MAX_LOG_LINES;

/// What Swarm answers when it does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// The object changed since it was read: read again, decide again.
    #[error("the object was changed by someone else")]
    OutOfSequence,
    /// The name is taken.
    #[error("the name {0} is taken")]
    NameTaken(String),
    /// There is no such object.
    #[error("no such object: {0}")]
    NotFound(String),
    /// The spec is not acceptable; trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// The daemon does not answer, is no manager, or failed: trying again may help.
    #[error("the Docker daemon failed: {0}")]
    Unavailable(String),
    /// Too little is left of the worker's lease: the daemon was not asked.
    #[error("too little is left of the lease for a call")]
    OutOfLease,
}

/// A result of Swarm's.
pub type SwarmResult<T> = Result<T, SwarmError>;

/// A Swarm that can be driven.
pub trait Swarm: Send + Sync + 'static {
    /// Makes sure that the daemon is a manager of a swarm, and initialises one where there is none.
    fn ensure_initialised(&self) -> impl Future<Output = SwarmResult<()>> + Send;

    /// Whether the swarm has a node that is a worker.
    fn has_workers(&self) -> impl Future<Output = SwarmResult<bool>> + Send;

    /// The nodes, with what they have and what is reserved on them. Two lists of the whole swarm, asked
    /// for at once: for the explanation of a failure, not for every look.
    fn nodes(&self) -> impl Future<Output = SwarmResult<Vec<Node>>> + Send;

    /// Ids of the nodes that Swarm has given up: it has heard nothing of them for so long. What ran there may run on.
    fn lost_nodes(&self) -> impl Future<Output = SwarmResult<BTreeSet<String>>> + Send;

    /// Ids of the services that have tasks on a node, those that were replaced included.
    fn services_on(&self, node: &str)
    -> impl Future<Output = SwarmResult<BTreeSet<String>>> + Send;

    /// The service of this name.
    fn service(&self, name: &str) -> impl Future<Output = SwarmResult<Option<Service>>> + Send;

    /// Creates a service.
    fn service_create(&self, spec: &ServiceSpec) -> impl Future<Output = SwarmResult<()>> + Send;

    /// Gives a service a new spec, if it is still at `version`.
    fn service_update(
        &self,
        id: &str,
        version: u64,
        spec: &ServiceSpec,
    ) -> impl Future<Output = SwarmResult<()>> + Send;

    /// Removes a service. One that is gone already is fine.
    fn service_remove(&self, name: &str) -> impl Future<Output = SwarmResult<()>> + Send;

    /// All tasks of a service that Swarm still remembers, those that ended included.
    fn tasks(&self, service: &str) -> impl Future<Output = SwarmResult<Vec<Task>>> + Send;

    /// Every service of this installation with its running and desired tasks, in one call.
    fn service_counts(
        &self,
        platform: &str,
    ) -> impl Future<Output = SwarmResult<Vec<ServiceCount>>> + Send;

    /// The addresses that running tasks have on their network, by the tasks' ids: of those whose node's daemon is reached and answers.
    fn addresses(
        &self,
        network: &str,
        tasks: &[&Task],
    ) -> impl Future<Output = HashMap<String, Ipv4Addr>> + Send;

    /// What a task that ended left behind: its last log lines (at most [`LOG_LINES`]) and what its
    /// container tells. Parts that cannot be had any more are empty.
    fn autopsy(&self, task: &Task) -> impl Future<Output = Autopsy> + Send;

    /// The overlay network of this name, as the swarm (not one node) knows it.
    fn network(
        &self,
        name: &str,
    ) -> impl Future<Output = SwarmResult<Option<OverlayNetwork>>> + Send;

    /// The overlay networks of this installation.
    fn networks(
        &self,
        platform: &str,
    ) -> impl Future<Output = SwarmResult<Vec<ListedNetwork>>> + Send;

    /// Creates an overlay network. Success does not mean that it got its subnet: look again.
    fn network_create(&self, spec: &NetworkSpec) -> impl Future<Output = SwarmResult<()>> + Send;

    /// Removes a network by id. One that is gone already is fine.
    fn network_remove(&self, id: &str) -> impl Future<Output = SwarmResult<()>> + Send;

    /// The id of the config of this name, created where there is none.
    fn config_ensure(
        &self,
        spec: &ConfigSpec<'_>,
    ) -> impl Future<Output = SwarmResult<String>> + Send;

    /// Swarm's id of the secret, or the config, of this name.
    fn secret(
        &self,
        kind: SecretKind,
        name: &str,
    ) -> impl Future<Output = SwarmResult<Option<String>>> + Send;

    /// Makes a secret or a config; answers its id.
    fn secret_create(
        &self,
        spec: &SecretSpec<'_>,
    ) -> impl Future<Output = SwarmResult<String>> + Send;

    /// The secrets, or the configs, that versions of this installation were delivered as.
    fn secrets(
        &self,
        kind: SecretKind,
        platform: &str,
    ) -> impl Future<Output = SwarmResult<Vec<ListedSecret>>> + Send;

    /// Removes one by id. One that is gone already is fine; refused while a service refers to it.
    fn secret_remove(
        &self,
        kind: SecretKind,
        id: &str,
    ) -> impl Future<Output = SwarmResult<()>> + Send;

    /// Asks the registry which digest a reference stands for, for who shows it this.
    fn image_in_registry(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
    ) -> impl Future<Output = SwarmResult<ImageLookup>> + Send;

    /// An image that the daemon has itself.
    fn image_on_node(
        &self,
        reference: &str,
    ) -> impl Future<Output = SwarmResult<Option<LocalImage>>> + Send;

    /// An item for each change in the swarm's services, containers or nodes. Hints: one may come
    /// late, twice or never, and the stream may end.
    fn changes(&self) -> impl Stream<Item = SwarmResult<()>> + Send;
}
