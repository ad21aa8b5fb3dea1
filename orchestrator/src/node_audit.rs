//! The audit of nodes: what each reached node's own daemon shows and the swarm's managers do not. What a node routes elsewhere is
//! reserved; what it goes on running though it is cut off, and what it forgot to take away, is reported. It changes nothing there
//! (but for a container of its own, of a moment, that reads the routes).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::drift::{Found, Look, LookedAt};
use db::reserved_ranges::{SeenRange, reserved_ranges_seen};
use db::subnet_pools::pool_ranges;
use ipnet::{IpNet, Ipv4Net};
use model::drift::{DriftKind, ObjectType};
use model::platform::Platform;
use model::subnet_pool::ReservedBy;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::drift_report::report;
use crate::isolation::image;
use crate::network_audit::{Failure, seen};
use crate::swarm::docker::{DockerSwarm, Host};
use crate::swarm::node_findings::{FoundContainer, LooseEndpoint};

/// Between two looks for nodes that are cut off.
const ROUND: Duration = Duration::from_secs(15);
/// Between two looks at what costs more: each network's ends, and a container that reads the routes.
const CLOSER: Duration = Duration::from_secs(600);
/// Before the next where a node did not answer.
const AGAIN: Duration = Duration::from_secs(60);

/// Routes of a node that are kept as reserved: each allocation looks at those in its pool.
const MOST_ROUTES: usize = 256;

/// Looks at each node through its own daemon.
pub struct NodeAudit {
    /// Where findings are written.
    pub database: Database,
    /// The swarm, and the daemons that are reached.
    pub swarm: Arc<DockerSwarm>,
    /// The installation's settings.
    pub platform: Arc<Platform>,
}

impl NodeAudit {
    /// Runs until `stop`. Several workers at it do no harm.
    pub async fn run(self, stop: CancellationToken) {
        // One that a slow node keeps waiting does not keep the other.
        let rounds = async { tokio::join!(self.watch_cut_off(), self.look_closer()) };
        stop.run_until_cancelled(rounds).await;
    }

    async fn watch_cut_off(&self) {
        loop {
            if let Err(error) = self.duplicates().await {
                let error = model::error::chain(&*error);
                tracing::warn!(error, "what cut-off nodes run is not known; tried again");
            }
            sleep(ROUND).await;
        }
    }

    async fn look_closer(&self) {
        let mut loose = BTreeSet::new();
        loop {
            let pause = match self.closer(&mut loose).await {
                Ok(true) => CLOSER,
                Ok(false) => AGAIN,
                Err(error) => {
                    let error = model::error::chain(&*error);
                    tracing::warn!(error, "the nodes were not audited; tried again");
                    AGAIN
                }
            };
            sleep(pause).await;
        }
    }

    /// Reports what nodes that the swarm has given up go on running.
    async fn duplicates(&self) -> Result<(), Failure> {
        let known = self.swarm.known_nodes().await?;
        // What is up runs nothing that the swarm does not want. One that is not listed any more was taken off while it was away.
        let up: HashSet<String> =
            known.into_iter().filter(|node| !node.is_down).map(|node| node.id).collect();
        let mut running = Vec::new();
        let mut looked_at = up.clone();
        for host in self.swarm.hosts() {
            let Some((id, name)) = host.node_and_name().await else { continue };
            if up.contains(&id) {
                continue;
            }
            match host.containers(&self.platform.name).await {
                Ok(found) => {
                    looked_at.insert(id.clone());
                    running.push(((id, name), found));
                }
                Err(error) => tracing::warn!(node = name, %error, "what it runs is not known"),
            }
        }
        let mut found = BTreeMap::new();
        if running.iter().any(|(_, containers)| !containers.is_empty()) {
            // Asked afterwards: of a node that came back meanwhile, its tasks are wanted.
            let wanted = self.swarm.tasks_wanted().await?;
            for ((id, name), containers) in running {
                found.extend(duplicated((&id, &name), containers, &wanted));
            }
        }
        let look = Look {
            kind: DriftKind::Duplicate,
            object_type: ObjectType::Container,
            found,
            standing: Vec::new(),
            looked_at: LookedAt::Nodes(looked_at.into_iter().collect()),
        };
        Ok(report(&self.database, look).await?)
    }

    /// Reserves what the nodes route elsewhere, and reports what was loose the last time, too. Whether each node answered that said its name.
    async fn closer(&self, before: &mut BTreeSet<String>) -> Result<bool, Failure> {
        let mut is_complete = true;
        let image = image::image()?;
        let pools = pool_ranges(&self.database).await?;
        let mut looked_at = Vec::new();
        let mut routes = BTreeSet::new();
        let mut loose = BTreeMap::new();
        for host in self.swarm.hosts() {
            let Some((id, name)) = host.node_and_name().await else { continue };
            match self.routes(host, &image).await {
                Ok(printed) => routes.extend(elsewhere(&name, &printed, &pools)),
                Err(error) => {
                    is_complete = false;
                    let error = model::error::chain(&*error);
                    tracing::warn!(node = name, error, "a node's routes are not known");
                }
            }
            match host.loose_endpoints(&self.platform.name).await {
                Ok(found) => {
                    loose.extend(found.iter().map(|endpoint| leaked((&id, &name), endpoint)));
                    looked_at.push(id);
                }
                Err(error) => {
                    is_complete = false;
                    tracing::warn!(node = name, %error, "its networks' ends are not known");
                }
            }
        }
        let routes: Vec<SeenRange> = routes.into_iter().collect();
        reserved_ranges_seen(&self.database, ReservedBy::Node, &routes).await?;
        let seen: BTreeSet<String> = loose.keys().cloned().collect();
        // What is loose for the first time may just be attached; what another worker saw loose, and still is, stands.
        loose.retain(|object, _| before.contains(object));
        let look = Look {
            kind: DriftKind::Leaked,
            object_type: ObjectType::Endpoint,
            found: loose,
            standing: seen.iter().cloned().collect(),
            looked_at: LookedAt::Nodes(looked_at),
        };
        report(&self.database, look).await?;
        *before = seen;
        Ok(is_complete)
    }

    async fn routes(&self, host: &Host, image: &image::Image) -> Result<String, Failure> {
        host.image_load(&image.id, &image.archive).await?;
        let name = format!("skep-routes-{}", self.platform.name);
        Ok(host.routes(&image.id, "routes", &name).await?)
    }
}

/// Of what runs on a node that is cut off, what the swarm has given up there, by the node's id and its own name.
fn duplicated(
    (id, node): (&str, &str),
    running: Vec<FoundContainer>,
    wanted: &HashSet<String>,
) -> BTreeMap<String, Found> {
    let given_up = running.into_iter().filter(|container| !wanted.contains(&container.task));
    given_up
        .map(|container| {
            let sentence = format!(
                "the node {node} is cut off from the swarm and goes on running {}, which the swarm has given up and may run \
                 elsewhere: bring the node back, and it ends; or stop its Docker, and this report ends an hour later",
                container.name
            );
            (format!("{id}/{}", container.name), Found { app: Some(container.app), sentence })
        })
        .collect()
}

/// An end of a network that nobody has, by its name: addresses that are gone until the node's Docker forgets them.
fn leaked((id, node): (&str, &str), endpoint: &LooseEndpoint) -> (String, Found) {
    let short = endpoint.id.get(..12).unwrap_or(&endpoint.id);
    let LooseEndpoint { network, address, name, .. } = endpoint;
    let sentence = format!(
        "on the node {node} the network {network} has an end {name} at {address} that no container has: its address is lost, and the \
         network cannot be removed there, until the node's Docker is restarted"
    );
    (format!("{id}/{network}/{short}"), Found { app: None, sentence })
}

/// What a node routes elsewhere: all of its routes, but for the default one (or its two halves, as VPNs write it) and those of Docker's
/// own bridges, which are known as networks. Of more than are kept, those that lie in a pool come first.
fn elsewhere(node: &str, printed: &str, pools: &[IpNet]) -> Vec<SeenRange> {
    let is_in_pool = |range: &Ipv4Net| {
        let range = IpNet::from(*range);
        pools.iter().any(|pool| pool.contains(&range.network()) || range.contains(&pool.network()))
    };
    let mut routes: Vec<(&str, Ipv4Net)> = printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(interface, _)| !is_dockers(interface))
        .filter_map(|(interface, range)| Some((interface, range.parse::<Ipv4Net>().ok()?)))
        .filter(|(_, range)| range.prefix_len() > 1)
        .collect();
    routes.sort_by_key(|(_, range)| !is_in_pool(range));
    if routes.len() > MOST_ROUTES {
        tracing::warn!(node, routes = routes.len(), "more routes than are kept as reserved ranges");
    }
    let kept = routes.into_iter().take(MOST_ROUTES);
    kept.map(|(interface, range)| {
        seen(range, &format!("a route of the node {node}, by {interface}"))
    })
    .collect()
}

/// Whether Docker made an interface: its bridges, by the names that it gives them.
fn is_dockers(interface: &str) -> bool {
    let is_id = |id: &str| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    interface == "docker0"
        || interface == "docker_gwbridge"
        || interface.strip_prefix("br-").is_some_and(is_id)
}

#[cfg(test)]
mod tests {
    use model::id::AppId;

    use super::*;

    #[test]
    fn what_the_swarm_wants_is_no_duplicate() {
        let container = |task: &str| FoundContainer {
            task: task.into(),
            name: format!("web.1.{task}"),
            app: AppId::new(),
        };
        let wanted = HashSet::from(["new".to_owned()]);
        let found = duplicated(("n3", "rig3"), vec![container("old"), container("new")], &wanted);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["n3/web.1.old"]);
        assert!(found["n3/web.1.old"].sentence.contains("web.1.old"));
    }

    #[test]
    fn routes_are_reserved_but_for_the_default_and_dockers_bridges() {
        let printed = "eth0 0.0.0.0/0\ntun0 128.0.0.0/1\neth0 203.0.113.0/24\ndocker0 172.17.0.0/16\n\
            br-0123456789ab 172.18.0.0/16\ndocker_gwbridge 172.19.0.0/16\nbr-lan 192.0.2.0/24\ntun0 10.8.0.0/16\n";
        let pools = ["10.0.0.0/12".parse().unwrap()];
        let told: Vec<String> = elsewhere("n1", printed, &pools)
            .iter()
            .map(|seen| format!("{} {}", seen.range, seen.note))
            .collect();
        assert_eq!(
            told,
            [
                "10.8.0.0/16 a route of the node n1, by tun0",
                "203.0.113.0/24 a route of the node n1, by eth0",
                "192.0.2.0/24 a route of the node n1, by br-lan"
            ]
        );
    }
}
