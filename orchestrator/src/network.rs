//! The overlay network of an environment: created once, with the subnet that Postgres holds for it,
//! and believed only when the swarm shows that it got it.

use std::collections::BTreeMap;
use std::time::Duration;

use model::names;
use model::network::Network;
use tokio::time::{Instant, sleep};

use crate::swarm::{NetworkSpec, OverlayNetwork, Swarm, SwarmError};

/// How long a new network may take to get its subnet. Usually it is there at once; after an overlap
/// it never is, and Docker says nothing.
const ALLOCATION: Duration = Duration::from_secs(5);

/// Why an environment has no network.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// Trying again does not help: a sentence for the deployment's reason.
    #[error("{0}")]
    Unusable(String),
    /// The daemon failed.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
}

/// The swarm's id of the environment's network, which is made where there is none.
pub(crate) async fn ensure_network(
    swarm: &impl Swarm,
    platform: &str,
    network: &Network,
) -> Result<String, NetworkError> {
    if let Some(found) = swarm.network(&network.name).await?
        && !found.subnets.is_empty()
    {
        return usable(platform, network, found);
    }
    swarm
        .network_create(&NetworkSpec {
            name: network.name.clone(),
            subnet: network.subnet,
            mtu: network.mtu,
            labels: labels(platform, network),
        })
        .await?;
    let created = allocated(swarm, network).await?;
    tracing::info!(network = network.name, subnet = %network.subnet, "made an overlay network");
    usable(platform, network, created)
}

/// Waits for a new network's subnet. One that does not get it is taken away again, so that no task
/// ever waits on it.
async fn allocated(swarm: &impl Swarm, network: &Network) -> Result<OverlayNetwork, NetworkError> {
    let deadline = Instant::now() + ALLOCATION;
    let mut pause = Duration::from_millis(10);
    loop {
        let found = swarm.network(&network.name).await?;
        match found {
            Some(found) if !found.subnets.is_empty() => return Ok(found),
            found if Instant::now() >= deadline => {
                if let Some(found) = found {
                    swarm.network_remove(&found.id).await?;
                }
                return Err(NetworkError::Unusable(format!(
                    "Swarm gave the network {} no subnet: {} probably overlaps a network that Skep \
                     does not know; ask the operator to find it with `docker network ls`",
                    network.name, network.subnet,
                )));
            }
            _ => sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// A network of this name has to be ours, encrypted, and on the subnet that Postgres holds: a task
/// on any other network would break the promise that no tenant reaches another.
fn usable(
    platform: &str,
    network: &Network,
    found: OverlayNetwork,
) -> Result<String, NetworkError> {
    let ours =
        labels(platform, network).iter().all(|(key, value)| found.labels.get(key) == Some(value));
    if !ours {
        return Err(NetworkError::Unusable(format!(
            "the network {} in the swarm is not this installation's; remove it or rename it",
            network.name
        )));
    }
    if !found.encrypted || found.subnets != [network.subnet.to_string()] {
        return Err(NetworkError::Unusable(format!(
            "the network {} in the swarm has drifted (encrypted: {}, subnets: {}; wanted: \
             encrypted, {}); remove it when no service is on it, and deploy again",
            network.name,
            found.encrypted,
            found.subnets.join(", "),
            network.subnet,
        )));
    }
    Ok(found.id)
}

fn labels(platform: &str, network: &Network) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::LABEL_PLATFORM.into(), platform.into()),
        (names::LABEL_ORGANIZATION.into(), network.organization_id.to_string()),
        (names::LABEL_ENVIRONMENT.into(), network.environment_id.to_string()),
    ])
}
