//! The simulated Swarm: SwarmKit as the orchestrator sees it, in memory. It models what the
//! orchestrator depends on: versions, UpdateStatus and PreviousSpec, rollouts with their monitor and
//! rollback, restarts and task history, silent networks, lost nodes.
//!
//! Time is tokio's, and passes lazily: each call first lets happen what has happened by now. It
//! starts no task, never sleeps, and takes all chance from its seed. The contract suite
//! (`crate::contract::swarm`) holds it to the real engine: where they differ, this one is wrong.

mod behaviour;
mod cluster;
mod effect;
mod ground;
mod hands;
mod network;
mod rollout;
mod secrets;
mod service;
mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use futures::Stream;
use model::names;
use model::secret::SecretKind;
use model::update_policy::FailureAction;
use orchestrator::swarm::{
    Autopsy, ConfigSpec, ImageLookup, ListedNetwork, ListedSecret, LocalImage, NetworkSpec, Node,
    OverlayNetwork, RegistryLogin, SecretSpec, Service, ServiceCount, ServiceSpec, Swarm,
    SwarmResult, Task, TaskState, UpdateState, UpdateStatus,
};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

pub use behaviour::{Behaviour, End, Pull, Stage};
pub use effect::{Call, Effect};
use hands::Asked;
pub use hands::Snapshot;

use cluster::Cluster;
use ground::{Event, Ground};

/// A Swarm in memory. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SimulatedSwarm {
    cluster: Arc<Mutex<Cluster>>,
    /// What the wall clock said when it began.
    epoch: DateTime<Utc>,
    /// To whoever listens for changes.
    announced: broadcast::Sender<()>,
    asked: Arc<Asked>,
}

impl SimulatedSwarm {
    /// A swarm of one manager and so many workers. `seed` decides all chance; `epoch` is what wall
    /// clocks say now.
    pub fn new(seed: u64, workers: usize, epoch: DateTime<Utc>) -> Self {
        Self {
            cluster: Arc::new(Mutex::new(Cluster::new(seed, workers))),
            epoch,
            announced: broadcast::channel(1).0,
            asked: Arc::default(),
        }
    }

    /// The cluster as it is now.
    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        let mut cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.catch_up();
        cluster
    }
}

/// A task as Swarm shows it.
fn shown(task: &task::Task, ground: &Ground, epoch: DateTime<Utc>) -> Task {
    let at = |moment| epoch + TimeDelta::from_std(moment).unwrap_or_default();
    Task {
        id: task.id(),
        slot: task.slot,
        node: task.node.and_then(|node| ground.nodes.get(node)).map(|node| node.id.clone()),
        state: task.state,
        desired: task.desired,
        created_at: Some(at(task.created)),
        ended_at: task.ended.map(at),
        error: task.error.clone(),
        exit_code: task.exit_code,
        container: task.has_container.then(|| format!("container-{}", task.number)),
        spec_hash: Some(task.spec.spec_hash.clone()),
        restart_counter: task.spec.restart_counter,
    }
}

/// A service as Swarm shows it.
fn told(service: &service::Service, epoch: DateTime<Utc>) -> Service {
    let began = TimeDelta::from_std(service.update_began).unwrap_or_default();
    let update = |(state, message): (UpdateState, String)| UpdateStatus {
        state,
        message,
        started_at: Some(epoch + began),
    };
    Service {
        id: service.id.clone(),
        version: service.version,
        labels: service.spec.labels.clone(),
        replicas: service.spec.replicas,
        image: Some(service.spec.task.image.clone()),
        spec_hash: Some(service.spec.spec_hash.clone()),
        restart_counter: service.spec.restart_counter,
        pauses_on_failure: service.spec.update.failure_action == FailureAction::Pause,
        networks: vec![service.spec.task.network.clone()],
        virtual_address: None,
        parts: parts(&service.spec),
        update: service.update.clone().map(update),
    }
}

/// Parts of a spec that people change, as they are: what stands for a hash needs no hash. Never the health
/// check: the engine's own answer loses it on its way to us.
fn parts(spec: &ServiceSpec) -> BTreeMap<String, String> {
    let task = &spec.task;
    let parts = [
        ("Labels", format!("{:?}", spec.labels)),
        ("TaskTemplate.ContainerSpec.Labels", spec.spec_hash.clone()),
        ("TaskTemplate.ContainerSpec.Env", format!("{:?}", task.env)),
        ("TaskTemplate.Resources.Limits", task.memory_limit_bytes.to_string()),
        ("TaskTemplate.Placement", task.constraints.join(" ")),
        ("TaskTemplate.Networks", task.network.clone()),
        ("UpdateConfig", format!("{:?}", spec.update)),
        ("RollbackConfig", format!("{:?}", spec.rollback)),
        ("EndpointSpec", format!("{:?}", spec.endpoint_mode)),
    ];
    parts.into_iter().map(|(part, value)| (part.to_owned(), value)).collect()
}

impl Swarm for SimulatedSwarm {
    async fn ensure_initialised(&self) -> SwarmResult<()> {
        Ok(())
    }

    async fn has_workers(&self) -> SwarmResult<bool> {
        Ok(self.cluster().ground.nodes.iter().any(|node| !node.is_manager))
    }

    async fn nodes(&self) -> SwarmResult<Vec<Node>> {
        Ok(self.cluster().nodes())
    }

    async fn lost_nodes(&self) -> SwarmResult<BTreeSet<String>> {
        Ok(self.cluster().lost_nodes())
    }

    async fn services_on(&self, node: &str) -> SwarmResult<BTreeSet<String>> {
        Ok(self.cluster().services_on(node))
    }

    async fn service(&self, name: &str) -> SwarmResult<Option<Service>> {
        Ok(self.cluster().service(name).map(|service| told(service, self.epoch)))
    }

    async fn service_create(&self, spec: &ServiceSpec) -> SwarmResult<()> {
        self.cluster().service_create(spec.clone())
    }

    async fn service_update(&self, id: &str, version: u64, spec: &ServiceSpec) -> SwarmResult<()> {
        self.cluster().service_update(id, version, spec.clone())
    }

    async fn service_remove(&self, name: &str) -> SwarmResult<()> {
        self.cluster().service_remove(name);
        Ok(())
    }

    async fn tasks(&self, service: &str) -> SwarmResult<Vec<Task>> {
        self.asked.tasks.fetch_add(1, Ordering::Relaxed);
        let cluster = self.cluster();
        let tasks = cluster.service(service).map(|service| service.tasks.as_slice());
        let shown = |task| shown(task, &cluster.ground, self.epoch);
        Ok(tasks.unwrap_or_default().iter().map(shown).collect())
    }

    async fn service_counts(&self, platform: &str) -> SwarmResult<Vec<ServiceCount>> {
        self.asked.lists.fetch_add(1, Ordering::Relaxed);
        let cluster = self.cluster();
        let of_platform = cluster.services.values().filter(|service| {
            let label = service.spec.labels.get(names::LABEL_PLATFORM);
            !service.is_removed && label.is_some_and(|label| label == platform)
        });
        let runs = |task: &&task::Task| task.state == TaskState::Running;
        let count = |service: &service::Service| ServiceCount {
            name: service.spec.name.clone(),
            service: told(service, self.epoch),
            desired: service.spec.replicas,
            running: i32::try_from(service.tasks.iter().filter(runs).count()).unwrap_or(i32::MAX),
        };
        Ok(of_platform.map(count).collect())
    }

    /// It has no addresses.
    async fn addresses(&self, _: &str, _: &[&Task]) -> HashMap<String, Ipv4Addr> {
        HashMap::new()
    }

    async fn autopsy(&self, task: &Task) -> Autopsy {
        let cluster = self.cluster();
        let all = cluster.services.values().flat_map(|service| &service.tasks);
        let Some(dead) = all.into_iter().find(|found| found.id() == task.id) else {
            return Autopsy::default();
        };
        let ends = dead.behaviour.ends.map(|(_, end)| end);
        let ended = matches!(dead.state, TaskState::Failed | TaskState::Complete);
        let is_checked = dead.spec.task.health_check.is_some();
        let never_healthy = dead.behaviour.healthy_after.is_none();
        Autopsy {
            log: dead.behaviour.log(dead.started, ended),
            health: (dead.started && is_checked && never_healthy).then(|| "http 500".to_owned()),
            out_of_memory: ended && ends == Some(End::OutOfMemory),
        }
    }

    async fn network(&self, name: &str) -> SwarmResult<Option<OverlayNetwork>> {
        Ok(self.cluster().network(name))
    }

    async fn networks(&self, platform: &str) -> SwarmResult<Vec<ListedNetwork>> {
        let is_of_platform = |network: &ListedNetwork| {
            network.labels.get(names::LABEL_PLATFORM).is_some_and(|label| label == platform)
        };
        Ok(self.cluster().ground.networks.listed().filter(is_of_platform).collect())
    }

    async fn network_create(&self, spec: &NetworkSpec) -> SwarmResult<()> {
        let mut cluster = self.cluster();
        // A node that still shows a removed one takes no other of its name, either.
        if cluster.network(&spec.name).is_none() {
            let number = cluster.ground.number();
            cluster.ground.networks.create(number, spec);
            let delay = cluster.ground.about(network::ALLOCATION);
            cluster.ground.after(delay, Event::Allocated { network: number });
            cluster.note(Call::NetworkCreate, &spec.name, None);
        }
        Ok(())
    }

    async fn network_remove(&self, id: &str) -> SwarmResult<()> {
        self.cluster().network_remove(id)
    }

    async fn config_ensure(&self, spec: &ConfigSpec<'_>) -> SwarmResult<String> {
        let mut cluster = self.cluster();
        let ground = &mut cluster.ground;
        let number = ground.number();
        let (id, is_new) = ground.networks.config(&spec.name, number);
        if is_new {
            cluster.note(Call::ConfigCreate, &spec.name, None);
        }
        Ok(id)
    }

    async fn secret(&self, kind: SecretKind, name: &str) -> SwarmResult<Option<String>> {
        Ok(self.cluster().ground.secrets.find(kind, name))
    }

    async fn secret_create(&self, spec: &SecretSpec<'_>) -> SwarmResult<String> {
        let mut cluster = self.cluster();
        let number = cluster.ground.number();
        let id = cluster.ground.secrets.create(number, spec)?;
        cluster.note(Call::SecretCreate, &spec.name, None);
        Ok(id)
    }

    async fn secrets(&self, kind: SecretKind, platform: &str) -> SwarmResult<Vec<ListedSecret>> {
        Ok(self.cluster().ground.secrets.of_platform(kind, platform))
    }

    async fn secret_remove(&self, kind: SecretKind, id: &str) -> SwarmResult<()> {
        self.cluster().secret_remove(kind, id)
    }

    async fn image_in_registry(
        &self,
        reference: &str,
        _: Option<&RegistryLogin>,
    ) -> SwarmResult<ImageLookup> {
        let mut cluster = self.cluster();
        if let Some(answer) = cluster.registry.get(reference) {
            return Ok(answer.clone());
        }
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(reference)));
        let answer = ImageLookup::Digest(digest);
        cluster.registry.insert(reference.to_owned(), answer.clone());
        Ok(answer)
    }

    async fn image_on_node(&self, reference: &str) -> SwarmResult<Option<LocalImage>> {
        Ok(self.cluster().local_images.get(reference).cloned())
    }

    /// None by itself: they are hints, and a search learns more from those that do not come.
    fn changes(&self) -> impl Stream<Item = SwarmResult<()>> + Send {
        let listener = self.announced.subscribe();
        futures::stream::unfold(listener, async |mut listener| match listener.recv().await {
            Err(broadcast::error::RecvError::Closed) => None,
            Ok(()) | Err(broadcast::error::RecvError::Lagged(_)) => Some((Ok(()), listener)),
        })
    }
}
