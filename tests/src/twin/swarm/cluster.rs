//! The simulated cluster: its services, and what happens to them when their time has come.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use model::names;
use model::secret::SecretKind;
use orchestrator::swarm::{
    ImageLookup, LocalImage, Node, OverlayNetwork, Resources, ServiceSpec, SwarmError, SwarmResult,
};
use tokio::time::Instant;

use super::effect::{Call, Effect};
use super::ground::{self, CAPACITY, Event, Ground, reserved};
use super::network::Network;
use super::service::Service;

/// From the last that was heard of a node until it is given up.
const SILENCE: Duration = Duration::from_secs(14);

/// Everything.
#[derive(Debug)]
pub(super) struct Cluster {
    began: Instant,
    pub(super) ground: Ground,
    pub(super) services: BTreeMap<u64, Service>,
    /// Names and ids of the services that are there.
    keys: HashMap<String, u64>,
    pub(super) registry: HashMap<String, ImageLookup>,
    pub(super) local_images: HashMap<String, LocalImage>,
    pub(super) effects: Vec<Effect>,
    pub(super) refuses_updates: bool,
}

impl Cluster {
    pub(super) fn new(seed: u64, workers: usize) -> Self {
        Self {
            began: Instant::now(),
            ground: Ground::new(seed, workers),
            services: BTreeMap::new(),
            keys: HashMap::new(),
            registry: HashMap::new(),
            local_images: HashMap::new(),
            effects: Vec::new(),
            refuses_updates: false,
        }
    }

    /// Lets everything happen that has happened by now.
    pub(super) fn catch_up(&mut self) {
        let end = self.began.elapsed();
        while let Some(event) = self.ground.next(end) {
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Allocated { network } => self.allocated(network),
            Event::NodeDown { node, absence } => self.node_down(node, absence),
            Event::Reconcile { service }
            | Event::Restart { service, .. }
            | Event::Step { service, .. }
            | Event::Gate { service, .. }
            | Event::Paused { service, .. }
            | Event::Watched { service, .. } => {
                let Some(found) = self.services.get_mut(&service) else { return };
                let ground = &mut self.ground;
                match event {
                    Event::Step { task, token, .. } => {
                        let node = found.task(task).and_then(|task| task.node);
                        match node.and_then(|node| ground.nodes.get_mut(node)) {
                            Some(node) if node.is_away => node.unheard.push(event),
                            _ => found.step(ground, task, token),
                        }
                    }
                    Event::Reconcile { .. } => found.reconcile(ground),
                    Event::Restart { task, .. } => found.restart(ground, task),
                    Event::Gate { task, patience_is_over, .. } => {
                        found.gate(ground, task, patience_is_over);
                    }
                    Event::Paused { rollout, worker, .. } => found.paused(ground, rollout, worker),
                    Event::Watched { rollout, .. } => found.watched(ground, rollout),
                    Event::Allocated { .. } | Event::NodeDown { .. } => {}
                }
                if found.is_removed && found.tasks.is_empty() {
                    self.services.remove(&service);
                }
            }
        }
    }

    fn allocated(&mut self, network: u64) {
        if let Some(id) = self.ground.networks.allocate(network) {
            self.resume_waiting(|spec| spec.task.network == id);
        }
    }

    /// Tasks that have no node yet try again.
    fn resume_waiting(&mut self, which: impl Fn(&ServiceSpec) -> bool) {
        for service in self.services.values_mut() {
            for task in &mut service.tasks {
                if task.node.is_none() && task.is_wanted() && which(&task.spec) {
                    task.resume(&mut self.ground);
                }
            }
        }
    }

    /// Nothing is heard from a node any more; its tasks go on without Swarm.
    pub(super) fn node_lost(&mut self, id: &str) {
        let silence = self.ground.about(SILENCE);
        let Some(node) = self.ground.nodes.iter().position(|node| node.id == id) else { return };
        let lost = &mut self.ground.nodes[node];
        lost.is_away = true;
        lost.absences += 1;
        let absence = lost.absences;
        self.ground.after(silence, Event::NodeDown { node, absence });
    }

    fn node_down(&mut self, node: usize, absence: u32) {
        let lost = &mut self.ground.nodes[node];
        if !lost.is_away || lost.absences != absence {
            return;
        }
        lost.is_down = true;
        for service in self.services.values_mut() {
            for number in service.numbers(|task| task.node == Some(node) && !task.state.is_over()) {
                service.opened_by(&mut self.ground, number);
                service.restart(&mut self.ground, number);
            }
        }
    }

    /// A node is heard from again: what happened there, and what was asked of it meanwhile.
    pub(super) fn node_back(&mut self, id: &str) {
        let Some(node) = self.ground.nodes.iter_mut().find(|node| node.id == id) else { return };
        node.is_away = false;
        node.is_down = false;
        for event in std::mem::take(&mut node.unheard) {
            self.ground.after(Duration::ZERO, event);
        }
        self.resume_waiting(|_| true);
    }

    /// A service by name or id.
    pub(super) fn service(&self, key: &str) -> Option<&Service> {
        self.services.get(self.keys.get(key)?)
    }

    /// The same, to change it.
    pub(super) fn service_mut(&mut self, key: &str) -> Option<(&mut Service, &mut Ground)> {
        Some((self.services.get_mut(self.keys.get(key)?)?, &mut self.ground))
    }

    pub(super) fn service_create(&mut self, spec: ServiceSpec) -> SwarmResult<()> {
        self.check_references(&spec)?;
        if self.keys.contains_key(&spec.name) {
            return Err(SwarmError::NameTaken(spec.name));
        }
        self.note(Call::ServiceCreate, &spec.name, spec.labels.get(names::LABEL_DEPLOYMENT));
        let service = Service::new(&mut self.ground, spec);
        self.keys.insert(service.spec.name.clone(), service.number);
        self.keys.insert(service.id.clone(), service.number);
        self.services.insert(service.number, service);
        Ok(())
    }

    pub(super) fn service_update(
        &mut self,
        key: &str,
        version: u64,
        spec: ServiceSpec,
    ) -> SwarmResult<()> {
        if self.refuses_updates {
            return Err(SwarmError::Unavailable("the swarm does not have a leader".into()));
        }
        let found = self.service(key).ok_or_else(|| not_found("service", key))?;
        if found.spec.name != spec.name {
            return Err(SwarmError::Unavailable("renaming services is not supported".into()));
        }
        let current = found.version;
        self.check_references(&spec)?;
        if current != version {
            return Err(SwarmError::OutOfSequence);
        }
        self.note(Call::ServiceUpdate, &spec.name, spec.labels.get(names::LABEL_DEPLOYMENT));
        if let Some((service, ground)) = self.service_mut(key) {
            service.give(ground, spec);
        }
        Ok(())
    }

    /// What a spec names has to be there.
    fn check_references(&self, spec: &ServiceSpec) -> SwarmResult<()> {
        let network = &spec.task.network;
        if !self.ground.networks.has(network) {
            return Err(SwarmError::Unavailable(format!("network {network} not found")));
        }
        let known = &self.ground.networks;
        let secrets = &self.ground.secrets;
        let has_config = |id: &str| known.has_config(id) || secrets.has(SecretKind::Config, id);
        if let Some(config) = spec.task.configs.iter().find(|config| !has_config(&config.id)) {
            return Err(SwarmError::Refused(format!("config not found: {}", config.name)));
        }
        let has_secret = |id: &str| secrets.has(SecretKind::Secret, id);
        match spec.task.secrets.iter().find(|secret| !has_secret(&secret.id)) {
            Some(secret) => Err(SwarmError::Refused(format!("secret not found: {}", secret.name))),
            None => Ok(()),
        }
    }

    pub(super) fn service_remove(&mut self, key: &str) {
        let Some((service, ground)) = self.service_mut(key) else { return };
        let (number, id, spec) = (service.number, service.id.clone(), service.spec.clone());
        service.remove(ground);
        if service.tasks.is_empty() {
            self.services.remove(&number);
        }
        self.keys.remove(&id);
        self.keys.remove(&spec.name);
        self.note(Call::ServiceRemove, &spec.name, spec.labels.get(names::LABEL_DEPLOYMENT));
    }

    pub(super) fn network_remove(&mut self, key: &str) -> SwarmResult<()> {
        let found = self.ground.networks.find(key).filter(|network| !network.is_stale);
        let Some(network) = found else { return Ok(()) };
        let (id, name) = (network.id.clone(), network.name.clone());
        let joins = |service: &&Service| !service.is_removed && service.spec.task.network == id;
        if let Some(service) = self.services.values().find(joins) {
            return Err(SwarmError::Refused(format!(
                "network {id} is in use by service {}",
                service.id
            )));
        }
        self.ground.networks.remove(&id);
        self.note(Call::NetworkRemove, &name, None);
        Ok(())
    }

    pub(super) fn secret_remove(&mut self, kind: SecretKind, id: &str) -> SwarmResult<()> {
        let refers = |service: &&Service| {
            let task = &service.spec.task;
            let files = match kind {
                SecretKind::Secret => &task.secrets,
                SecretKind::Config => &task.configs,
            };
            !service.is_removed && files.iter().any(|file| file.id == id)
        };
        if let Some(service) = self.services.values().find(refers) {
            let name = &service.spec.name;
            return Err(SwarmError::Refused(format!("{kind} {id} is in use by {name}")));
        }
        self.ground.secrets.remove(id);
        self.note(Call::SecretRemove, id, None);
        Ok(())
    }

    /// The nodes as the scheduler weighs them.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let tasks = || self.services.values().flat_map(|service| &service.tasks);
        let node = |(number, node): (usize, &ground::Node)| Node {
            id: node.id.clone(),
            name: node.id.clone(),
            address: None,
            is_available: !node.is_down,
            is_manager: node.is_manager,
            labels: BTreeMap::new(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            capacity: CAPACITY,
            reserved: tasks()
                .filter(|task| {
                    task.node == Some(number) && task.is_wanted() && !task.state.is_over()
                })
                .map(|task| reserved(&task.spec))
                .fold(Resources::default(), Resources::plus),
        };
        self.ground.nodes.iter().enumerate().map(node).collect()
    }

    /// The nodes that are down.
    pub(super) fn lost_nodes(&self) -> BTreeSet<String> {
        let down = self.ground.nodes.iter().filter(|node| node.is_down);
        down.map(|node| node.id.clone()).collect()
    }

    /// The services that have tasks on a node.
    pub(super) fn services_on(&self, node: &str) -> BTreeSet<String> {
        let number = self.ground.nodes.iter().position(|found| found.id == node);
        let is_there = |service: &&Service| service.tasks.iter().any(|task| task.node == number);
        let there = self.services.values().filter(|service| number.is_some() && is_there(service));
        there.map(|service| service.id.clone()).collect()
    }

    /// A network as the daemon shows it.
    pub(super) fn network(&mut self, key: &str) -> Option<OverlayNetwork> {
        let network = self.ground.networks.find(key)?;
        if network.is_stale {
            let tasks = || self.services.values().flat_map(|service| &service.tasks);
            let is_joined = |id: &str| {
                tasks().any(|task| {
                    task.node.is_some() && !task.state.is_over() && task.spec.task.network == id
                })
            };
            self.ground.networks.forget(is_joined);
        }
        self.ground.networks.find(key).map(Network::shown)
    }

    pub(super) fn note(&mut self, call: Call, name: &str, deployment: Option<&String>) {
        self.effects.push(Effect {
            at: self.began + self.ground.now,
            call,
            name: name.to_owned(),
            deployment: deployment.cloned(),
        });
    }
}

fn not_found(what: &str, key: &str) -> SwarmError {
    SwarmError::NotFound(format!("{what} {key} not found"))
}
