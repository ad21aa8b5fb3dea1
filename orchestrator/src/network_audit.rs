//! The audit of networks: what Docker has, compared with what Postgres has. What others use is reserved, so that no network
//! is given it; what is not as it should be is reported, with what to do about it. It changes nothing in Docker.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::drift::{Found, Look, LookedAt};
use db::networks::networks_all;
use db::reserved_ranges::{SeenRange, reserved_ranges_seen};
use db::subnet_pools::pool_ranges;
use db::swarm_seen::swarm_seen_write;
use ipnet::{IpNet, Ipv4Net};
use model::drift::{DriftKind, ObjectType};
use model::id::NetworkId;
use model::names;
use model::network::Network;
use model::platform::Platform;
use model::subnet_pool::ReservedBy;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::drift_report::report;
use crate::network;
use crate::swarm::docker::DockerSwarm;
use crate::swarm::survey::{FoundNetwork, Survey};

/// Between two rounds: a node that joins takes an address of each network that it runs tasks on.
const ROUND: Duration = Duration::from_secs(30);

/// Postgres's, or the daemon's.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Compares Docker's networks with ours.
pub struct NetworkAudit {
    /// Where their rows are.
    pub database: Database,
    /// Where they are.
    pub swarm: Arc<DockerSwarm>,
    /// The installation's settings.
    pub platform: Arc<Platform>,
}

impl NetworkAudit {
    /// Runs until `stop`: at once, and every half a minute. Several workers at it do no harm.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.round().await {
                    let error = model::error::chain(&*error);
                    tracing::warn!(error, "the networks were not audited; tried again");
                }
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<(), Failure> {
        // A network's row is there before it, and goes after it: with those of before, none of ours is taken for another's.
        let before = networks_all(&self.database).await?;
        let survey = self.swarm.survey().await?;
        swarm_seen_write(&self.database, survey.nodes.max(1)).await?;
        let mut ours = networks_all(&self.database).await?;
        let now: HashSet<NetworkId> = ours.iter().map(|network| network.id).collect();
        ours.extend(before.into_iter().filter(|network| !now.contains(&network.id)));
        let pools = pool_ranges(&self.database).await?;
        let others = others(&survey, &ours, &self.platform.name, &pools);
        reserved_ranges_seen(&self.database, ReservedBy::Docker, &others).await?;
        for (kind, found) in [
            (DriftKind::Changed, changed(&survey, &ours, &self.platform.name)),
            (DriftKind::Overlap, overlapping(&survey, &ours)),
        ] {
            let found =
                found.into_iter().map(|(name, sentence)| (name, Found { app: None, sentence }));
            let look = Look {
                kind,
                object_type: ObjectType::Network,
                found: found.collect(),
                standing: Vec::new(),
                looked_at: LookedAt::Everything,
            };
            report(&self.database, look).await?;
        }
        Ok(())
    }
}

/// Whether a network of Docker's is one that we have a row of. A label can be copied: the name counts.
fn is_ours(found: &FoundNetwork, ours: &[Network]) -> bool {
    found.driver == "overlay" && ours.iter().any(|network| network.name == found.name)
}

/// What others use, and what it is. A node's copy of a network that bears our label is left of one that was removed, whose subnet
/// rests. What of those is the swarm's and has no row is an orphan, and in the way.
fn others(survey: &Survey, ours: &[Network], platform: &str, pools: &[IpNet]) -> Vec<SeenRange> {
    let is_labelled = |found: &FoundNetwork| {
        found.labels.get(names::LABEL_PLATFORM).is_some_and(|label| label == platform)
    };
    let networks = survey
        .networks
        .iter()
        .filter(|found| !is_ours(found, ours) && (found.is_swarms || !is_labelled(found)))
        .flat_map(|found| {
            let note = format!("Docker's network {}", found.name);
            found.subnets.iter().map(move |subnet| (*subnet, note.clone()))
        });
    // A pool of ours that lies in one of these was an operator's choice.
    let is_chosen = |range: &Ipv4Net| {
        let range = IpNet::from(*range);
        pools.iter().any(|pool| pool.contains(&range.network()) || range.contains(&pool.network()))
    };
    let local = survey
        .local_pools
        .iter()
        .filter(|range| !is_chosen(range))
        .map(|range| (*range, "what a node's Docker makes local networks from".to_owned()));
    let ranges: BTreeSet<SeenRange> =
        networks.chain(local).map(|(range, note)| seen(range, &note)).collect();
    ranges.into_iter().collect()
}

/// A note is no longer than one may be; cut where a character ends.
pub(crate) fn seen(range: Ipv4Net, note: &str) -> SeenRange {
    SeenRange { range: range.trunc(), note: note.chars().take(200).collect() }
}

/// Networks of ours that are in the swarm and not as they should be, by name.
fn changed(survey: &Survey, ours: &[Network], platform: &str) -> BTreeMap<String, String> {
    let in_swarm = |network: &Network| {
        survey.networks.iter().find(|found| found.is_swarms && found.name == network.name)
    };
    ours.iter()
        .filter(|network| network.retired_at.is_none())
        .filter_map(|network| {
            let differences = network::differences(platform, network, &in_swarm(network)?.into());
            (!differences.is_empty()).then(|| {
                let sentence = format!(
                    "the network {} in the swarm is not as it should be: {}; nothing is deployed on it any more; give \
                     its environment another network, or remove this one by hand",
                    network.name,
                    differences.join(", ")
                );
                (network.name.clone(), sentence)
            })
        })
        .collect()
}

/// Networks of ours that somebody else's overlaps, by name.
fn overlapping(survey: &Survey, ours: &[Network]) -> BTreeMap<String, String> {
    let others: Vec<(&str, Ipv4Net)> = survey
        .networks
        .iter()
        .filter(|found| !is_ours(found, ours))
        .flat_map(|found| found.subnets.iter().map(|subnet| (found.name.as_str(), *subnet)))
        .collect();
    ours.iter()
        .filter_map(|network| {
            let IpNet::V4(subnet) = network.subnet else { return None };
            let (name, range) = others.iter().find(|(_, range)| {
                range.contains(&subnet.network()) || subnet.contains(&range.network())
            })?;
            let sentence = format!(
                "the network {} has {subnet}, which overlaps {range} of Docker's network {name}: its tasks may be \
                 rejected, or not reached; give its environment another network, or remove {name}",
                network.name
            );
            Some((network.name.clone(), sentence))
        })
        .collect()
}

#[cfg(test)]
mod tests;
