//! Surroundings: what a service's spec refers to, made sure of, and the state of the swarm that it is
//! rendered for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::id::NetworkId;
use model::network::Network;
use model::release::Release;

use crate::network::{NetworkError, ensure_network};
use crate::probe::{MountedProbe, ensure_probe};
use crate::swarm::{Swarm, SwarmError};

/// What a service is rendered with, beside its own rows.
pub(crate) struct Surroundings {
    /// Swarm's id of the environment's network.
    pub(crate) network: String,
    /// The platform's health probe, where the spec mounts it.
    pub(crate) probe: Option<MountedProbe>,
    pub(crate) has_workers: bool,
    /// Whether some of it was not asked for now. Where Swarm does not take the spec, that may be why.
    pub(crate) is_remembered: bool,
}

/// Most networks that are remembered; then all are looked at once more.
const NETWORKS: usize = 4096;

/// What a worker has made sure of once. Docker changes no network and no config: what an id was found to be, it
/// is for as long as it is there, and Swarm takes no spec that refers to an id which is gone.
#[derive(Default)]
pub(crate) struct Known {
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    networks: HashMap<NetworkId, String>,
    probe: Option<MountedProbe>,
}

impl Known {
    /// Of this network, and of the probe: both are made sure of again.
    pub(crate) fn forget(&self, network: NetworkId) {
        let mut found = self.found();
        found.networks.remove(&network);
        found.probe = None;
    }

    fn remember_network(&self, network: NetworkId, id: &str) {
        let mut known = self.found();
        if known.networks.len() >= NETWORKS {
            known.networks.clear();
        }
        known.networks.insert(network, id.to_owned());
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SurroundingsError {
    /// The environment's network cannot be had.
    #[error(transparent)]
    Network(NetworkError),
    /// The daemon failed.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
}

/// Makes sure of what a release's service refers to.
pub(crate) async fn surroundings(
    swarm: &impl Swarm,
    known: &Known,
    platform: &str,
    network: &Network,
    release: &Release,
) -> Result<Surroundings, SurroundingsError> {
    let check = &release.spec.0.health_check;
    let needs_probe = check.as_ref().is_some_and(|check| check.test.needs_probe());
    let (known_network, known_probe) = {
        let found = known.found();
        (found.networks.get(&network.id).cloned(), found.probe.clone().filter(|_| needs_probe))
    };
    let is_remembered = known_network.is_some() || known_probe.is_some();
    // Only what is found now is remembered: what was forgotten meanwhile does not come back.
    let probe = async {
        match (needs_probe, known_probe) {
            (true, None) => {
                let found = ensure_probe(swarm, platform).await?;
                known.found().probe = Some(found.clone());
                Ok(Some(found))
            }
            (_, probe) => Ok::<_, SwarmError>(probe),
        }
    };
    let ensured = async {
        match known_network {
            Some(id) => Ok(id),
            None => {
                let id = ensure_network(swarm, platform, network).await?;
                known.remember_network(network.id, &id);
                Ok::<_, NetworkError>(id)
            }
        }
    };
    let (ensured, probe, has_workers) = tokio::join!(ensured, probe, swarm.has_workers());
    Ok(Surroundings {
        network: ensured.map_err(SurroundingsError::Network)?,
        probe: probe?,
        has_workers: has_workers?,
        is_remembered,
    })
}
