//! Networks and configs of the simulated Swarm: by name, by id, and with Docker's silences.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;
use orchestrator::swarm::{ListedNetwork, NetworkSpec, OverlayNetwork};

/// From a network's creation to its subnet.
pub(super) const ALLOCATION: Duration = Duration::from_millis(15);

/// A network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) name: String,
    subnet: IpNet,
    encrypted: bool,
    internal: bool,
    is_allocated: bool,
    /// Only nodes with tasks on it still know it.
    pub(super) is_stale: bool,
    labels: BTreeMap<String, String>,
}

impl Network {
    /// As Swarm shows it.
    pub(super) fn shown(&self) -> OverlayNetwork {
        OverlayNetwork {
            id: self.id.clone(),
            subnets: self.is_allocated.then(|| self.subnet.to_string()).into_iter().collect(),
            encrypted: self.encrypted,
            internal: self.internal,
            labels: self.labels.clone(),
        }
    }
}

/// All networks and configs.
#[derive(Debug, Default)]
pub(super) struct Networks {
    all: Vec<Network>,
    /// Names and ids of configs.
    configs: Vec<(String, String)>,
}

impl Networks {
    pub(super) fn is_allocated(&self, id: &str) -> bool {
        self.all.iter().any(|network| network.id == id && network.is_allocated)
    }

    /// Those that the swarm has.
    pub(super) fn listed(&self) -> impl Iterator<Item = ListedNetwork> {
        self.all.iter().filter(|network| !network.is_stale).map(|network| ListedNetwork {
            name: network.name.clone(),
            labels: network.labels.clone(),
        })
    }

    /// By name or id; one that was removed, too, as long as a node shows it.
    pub(super) fn find(&self, key: &str) -> Option<&Network> {
        self.all.iter().find(|network| network.name == key || network.id == key)
    }

    /// Whether the swarm has it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some_and(|network| !network.is_stale)
    }

    pub(super) fn create(&mut self, number: u64, spec: &NetworkSpec) {
        self.all.push(Network {
            number,
            id: format!("network-{number}"),
            name: spec.name.clone(),
            subnet: spec.subnet,
            encrypted: spec.encrypted,
            internal: spec.internal,
            is_allocated: false,
            is_stale: false,
            labels: spec.labels.clone(),
        });
    }

    /// Gives a network its subnet, unless another one has a part of it: Docker says nothing then.
    /// The id of the network that got one.
    pub(super) fn allocate(&mut self, number: u64) -> Option<String> {
        let place = self.all.iter().position(|network| network.number == number)?;
        let wanted = self.all[place].subnet;
        let overlaps = |other: &Network| {
            other.is_allocated
                && !other.is_stale
                && (other.subnet.contains(&wanted.network())
                    || wanted.contains(&other.subnet.network()))
        };
        if self.all.iter().any(overlaps) {
            return None;
        }
        self.all[place].is_allocated = true;
        Some(self.all[place].id.clone())
    }

    /// Takes a network out of the swarm. Nodes go on to show it until their tasks have left it.
    pub(super) fn remove(&mut self, id: &str) {
        if let Some(network) = self.all.iter_mut().find(|network| network.id == id) {
            network.is_stale = true;
        }
    }

    /// Forgets what was removed and is not joined by any task any more.
    pub(super) fn forget(&mut self, is_joined: impl Fn(&str) -> bool) {
        self.all.retain(|network| !network.is_stale || is_joined(&network.id));
    }

    /// The id of the config of this name, made of `number` where there is none.
    pub(super) fn config(&mut self, name: &str, number: u64) -> (String, bool) {
        if let Some((_, id)) = self.configs.iter().find(|(known, _)| known == name) {
            return (id.clone(), false);
        }
        let id = format!("config-{number}");
        self.configs.push((name.to_owned(), id.clone()));
        (id, true)
    }

    pub(super) fn has_config(&self, id: &str) -> bool {
        self.configs.iter().any(|(_, known)| known == id)
    }
}
