//! What only a test does to the simulated Swarm: what people and broken machines do, what images
//! are, and looks that no API gives. None of it is noted as an effect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipnet::IpNet;
use orchestrator::swarm::{
    ImageLookup, LocalImage, NetworkSpec, ServiceSpec, Task as ShownTask, TaskState, UpdateState,
};

use super::behaviour::Behaviour;
use super::effect::Effect;
use super::ground::Event;
use super::network::ALLOCATION;
use super::task::Task;
use super::{SimulatedSwarm, shown};

/// A service as it is, seen from nowhere.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its version.
    pub version: u64,
    /// The spec that it carries.
    pub spec: Arc<ServiceSpec>,
    /// The spec that Swarm could bring back.
    pub previous: Option<Arc<ServiceSpec>>,
    /// Swarm's UpdateStatus.
    pub update: Option<UpdateState>,
    /// Tasks that run, by the hash of their spec, those that are about to end included.
    pub running: BTreeMap<String, usize>,
    /// Every task that Swarm remembers.
    pub tasks: Vec<ShownTask>,
}

/// How often it was asked for what costs a large swarm much.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// For the list of its services.
    pub(super) lists: AtomicUsize,
    /// For the tasks of a service.
    pub(super) tasks: AtomicUsize,
}

impl SimulatedSwarm {
    /// Says how tasks of this image behave: each as one of these, by chance. An image is what a
    /// spec names: `repository@sha256:…` or an image's id. Holds for tasks that are made later.
    pub fn behave(&self, image: &str, behaviours: impl IntoIterator<Item = Behaviour>) {
        let behaviours = behaviours.into_iter().map(Arc::new).collect();
        self.cluster().ground.behaviours.insert(image.to_owned(), behaviours);
    }

    /// Says what the registry answers for a reference. One of which nothing was said has a digest
    /// of its own.
    pub fn register(&self, reference: &str, answer: ImageLookup) {
        self.cluster().registry.insert(reference.to_owned(), answer);
    }

    /// Gives the nodes an image; `None` takes it away.
    pub fn load(&self, reference: &str, image: Option<LocalImage>) {
        let images = &mut self.cluster().local_images;
        match image {
            Some(image) => images.insert(reference.to_owned(), image),
            None => images.remove(reference),
        };
    }

    /// `docker service update` by somebody else: gives the service what `change` makes of its spec.
    /// False: there is no such service.
    pub fn change(&self, service: &str, change: impl FnOnce(&mut ServiceSpec)) -> bool {
        let mut cluster = self.cluster();
        let Some((service, ground)) = cluster.service_mut(service) else { return false };
        let mut spec = ServiceSpec::clone(&service.spec);
        change(&mut spec);
        service.give(ground, spec);
        true
    }

    /// `docker service rollback` by somebody else. False: there is no such service, or nothing to
    /// bring back.
    pub fn trigger_rollback(&self, service: &str) -> bool {
        let mut cluster = self.cluster();
        cluster.service_mut(service).is_some_and(|(service, ground)| service.bring_back(ground))
    }

    /// `docker service rm` by somebody else.
    pub fn take_away(&self, service: &str) {
        let mut cluster = self.cluster();
        let noted = cluster.effects.len();
        cluster.service_remove(service);
        cluster.effects.truncate(noted);
    }

    /// The processes of the service's tasks end by themselves. How many did.
    pub fn end_tasks(&self, service: &str) -> usize {
        let mut cluster = self.cluster();
        let Some((service, ground)) = cluster.service_mut(service) else { return 0 };
        let runs = |task: &&mut Task| task.state == TaskState::Running && task.is_wanted();
        service.tasks.iter_mut().filter(runs).map(|task| task.end(ground)).count()
    }

    /// From now on it takes no update, as a manager without a quorum, or takes them again.
    pub fn refuse_updates(&self, refuse: bool) {
        self.cluster().refuses_updates = refuse;
    }

    /// Something changed: whoever listens is told.
    pub fn announce(&self) {
        // Nobody may listen.
        let _listeners = self.announced.send(());
    }

    /// How often it was asked for the list of its services.
    pub fn lists(&self) -> usize {
        self.asked.lists.load(Ordering::Relaxed)
    }

    /// How often it was asked for the tasks of a service.
    pub fn task_lists(&self) -> usize {
        self.asked.tasks.load(Ordering::Relaxed)
    }

    /// `docker network create` by somebody else: one that Skep does not know.
    pub fn add_network(&self, name: &str, subnet: IpNet) {
        let mut cluster = self.cluster();
        let number = cluster.ground.number();
        let spec = NetworkSpec {
            name: name.to_owned(),
            subnet,
            mtu: None,
            encrypted: false,
            internal: false,
            labels: BTreeMap::new(),
        };
        cluster.ground.networks.create(number, &spec);
        cluster.ground.after(ALLOCATION, Event::Allocated { network: number });
    }

    /// Names of the nodes: one manager, then the workers.
    pub fn node_names(&self) -> Vec<String> {
        self.cluster().ground.nodes.iter().map(|node| node.id.clone()).collect()
    }

    /// Cuts a node off. After some seconds Swarm runs its tasks elsewhere; those on it go on.
    pub fn lose_node(&self, node: &str) {
        self.cluster().node_lost(node);
    }

    /// Connects it again.
    pub fn return_node(&self, node: &str) {
        self.cluster().node_back(node);
    }

    /// A service as it is, by name or id.
    pub fn snapshot(&self, service: &str) -> Option<Snapshot> {
        let cluster = self.cluster();
        let service = cluster.service(service)?;
        let mut running = BTreeMap::new();
        for task in service.tasks.iter().filter(|task| task.state == TaskState::Running) {
            *running.entry(task.spec.spec_hash.clone()).or_default() += 1;
        }
        Some(Snapshot {
            version: service.version,
            spec: Arc::clone(&service.spec),
            previous: service.previous.as_ref().map(|(spec, _)| Arc::clone(spec)),
            update: service.update.as_ref().map(|(state, _)| *state),
            running,
            tasks: service.tasks.iter().map(|t| shown(t, &cluster.ground, self.epoch)).collect(),
        })
    }

    /// Names of the services that are there.
    pub fn service_names(&self) -> Vec<String> {
        let cluster = self.cluster();
        let there = cluster.services.values().filter(|service| !service.is_removed);
        there.map(|service| service.spec.name.clone()).collect()
    }

    /// What was changed through the API, in order, from the `first`th change on.
    pub fn effects(&self, first: usize) -> Vec<Effect> {
        self.cluster().effects.get(first..).unwrap_or_default().to_vec()
    }
}
