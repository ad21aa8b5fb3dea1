//! The overlay network of an environment: created once, with the subnet that Postgres holds for it,
//! and believed only when the swarm shows that it got it.

use std::collections::BTreeMap;
use std::time::Duration;

use model::id::OrganizationId;
use model::names;
use model::network::{Network, NetworkAccess};
use tokio::time::{Instant, sleep};

use crate::swarm::survey::FoundNetwork;
use crate::swarm::{NetworkSpec, OverlayNetwork, Swarm, SwarmError, SwarmResult};

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
            encrypted: network.encrypted,
            internal: network.access == NetworkAccess::Internal,
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

/// A network of this name has to be ours, and as Postgres has it: encrypted, on its own subnet. A task
/// on any other network would break the promise that no tenant reaches another.
fn usable(
    platform: &str,
    network: &Network,
    found: OverlayNetwork,
) -> Result<String, NetworkError> {
    if !is_ours(platform, network, &found) {
        return Err(NetworkError::Unusable(format!(
            "the network {} in the swarm is not this installation's; remove it or rename it",
            network.name
        )));
    }
    let differences = differences(platform, network, &found);
    if !differences.is_empty() {
        return Err(NetworkError::Unusable(format!(
            "the network {} in the swarm has drifted ({}); remove it when no service is on it, and deploy again",
            network.name,
            differences.join(", "),
        )));
    }
    Ok(found.id)
}

/// Takes a network out of the swarm, if it is this organization's: one that only has its name stays where it is. Swarm
/// refuses to while a task is on it.
pub(crate) async fn remove_network(
    swarm: &impl Swarm,
    platform: &str,
    name: &str,
    organization: OrganizationId,
) -> SwarmResult<()> {
    let Some(network) = swarm.network(name).await? else { return Ok(()) };
    let label = |label| network.labels.get(label).map(String::as_str);
    if label(names::LABEL_PLATFORM) != Some(platform)
        || label(names::LABEL_ORGANIZATION) != Some(&organization.to_string())
    {
        tracing::warn!(network = name, "not labelled as the organization's: it was left alone");
        return Ok(());
    }
    swarm.network_remove(&network.id).await
}

fn is_ours(platform: &str, network: &Network, found: &OverlayNetwork) -> bool {
    labels(platform, network).iter().all(|(key, value)| found.labels.get(key) == Some(value))
}

/// What a network in the swarm is, that its row is not.
pub(crate) fn differences(
    platform: &str,
    network: &Network,
    found: &OverlayNetwork,
) -> Vec<String> {
    let mut differences = Vec::new();
    if !is_ours(platform, network, found) {
        differences.push("it is not this installation's, or not its organization's".to_owned());
    }
    if found.encrypted != network.encrypted {
        let word = |encrypted| if encrypted { "encrypted" } else { "not encrypted" };
        differences.push(format!(
            "it is {} and should be {}",
            word(found.encrypted),
            word(network.encrypted)
        ));
    }
    if found.subnets != [network.subnet.to_string()] {
        let subnets = found.subnets.join(", ");
        differences.push(format!("its subnet is {subnets} and should be {}", network.subnet));
    }
    let access = if found.internal { NetworkAccess::Internal } else { NetworkAccess::Egress };
    if access != network.access {
        differences.push(format!("it is {access} and should be {}", network.access));
    }
    differences
}

impl From<&FoundNetwork> for OverlayNetwork {
    fn from(found: &FoundNetwork) -> Self {
        Self {
            id: String::new(),
            subnets: found.subnets.iter().map(ToString::to_string).collect(),
            encrypted: found.encrypted,
            internal: found.internal,
            labels: found.labels.clone(),
        }
    }
}

/// What a network of ours bears.
pub(crate) fn labels(platform: &str, network: &Network) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::LABEL_PLATFORM.into(), platform.into()),
        (names::LABEL_ORGANIZATION.into(), network.organization_id.to_string()),
        (names::LABEL_ENVIRONMENT.into(), network.environment_id.to_string()),
    ])
}
