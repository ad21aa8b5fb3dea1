//! Surroundings: what a service's spec refers to, made sure of, and the state of the swarm that it is
//! rendered for.

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
    platform: &str,
    network: &Network,
    release: &Release,
) -> Result<Surroundings, SurroundingsError> {
    let check = &release.spec.0.health_check;
    let needs_probe = check.as_ref().is_some_and(|check| check.test.needs_probe());
    let probe = async {
        match needs_probe {
            true => ensure_probe(swarm, platform).await.map(Some),
            false => Ok(None),
        }
    };
    let network = ensure_network(swarm, platform, network);
    let (network, probe, has_workers) = tokio::join!(network, probe, swarm.has_workers());
    Ok(Surroundings {
        network: network.map_err(SurroundingsError::Network)?,
        probe: probe?,
        has_workers: has_workers?,
    })
}
