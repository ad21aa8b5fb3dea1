//! The audit of nodes: what each reached node's own daemon shows and the swarm's managers do not. What a node routes elsewhere is
//! reserved; what it goes on running though it is cut off, and what it forgot to take away, is reported. It changes nothing there
//! (but for a container of its own, of a moment, that reads the routes).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::reserved_ranges::{SeenRange, reserved_ranges_seen};
use ipnet::Ipv4Net;
use model::drift::{DriftKind, ObjectType};
use model::platform::Platform;
use model::subnet_pool::ReservedBy;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::drift_report::{Found, report};
use crate::isolation::image;
use crate::network_audit::{Failure, seen};
use crate::swarm::Swarm as _;
use crate::swarm::docker::{DockerSwarm, Host};
use crate::swarm::node_findings::{FoundContainer, LooseEndpoint};

/// Between two looks for nodes that are cut off.
const ROUND: Duration = Duration::from_secs(15);
/// Between two looks at what costs more: each network's ends, and a container that reads the routes.
const CLOSER: Duration = Duration::from_secs(600);

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
        let rounds = async {
            let mut looked_closer: Option<Instant> = None;
            let mut loose = BTreeMap::new();
            loop {
                if let Err(error) = self.duplicates().await {
                    let error = model::error::chain(&*error);
                    tracing::warn!(error, "what cut-off nodes run is not known; tried again");
                }
                if looked_closer.is_none_or(|at| at.elapsed() >= CLOSER) {
                    match self.closer(&mut loose).await {
                        Ok(()) => looked_closer = Some(Instant::now()),
                        Err(error) => {
                            let error = model::error::chain(&*error);
                            tracing::warn!(error, "the nodes were not audited; tried again");
                        }
                    }
                }
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// Reports what nodes that the swarm has given up go on running.
    async fn duplicates(&self) -> Result<(), Failure> {
        let mut lost = self.swarm.lost_nodes().await?;
        let mut found = BTreeMap::new();
        if !lost.is_empty() {
            let wanted = self.swarm.tasks_wanted().await?;
            for host in self.swarm.hosts() {
                let Some((node, name)) = host.node_and_name().await else { continue };
                let Some(place) = lost.iter().position(|lost| lost.id == node) else { continue };
                match host.containers(&self.platform.name).await {
                    Ok(running) => {
                        found.extend(duplicated(&name, running, &wanted));
                        lost.swap_remove(place);
                    }
                    Err(error) => tracing::warn!(node = name, %error, "what it runs is not known"),
                }
            }
        }
        let not_asked: Vec<String> = lost.into_iter().map(|node| node.name).collect();
        let what = (DriftKind::Duplicate, ObjectType::Container);
        report(&self.database, what, found, &not_asked).await?;
        Ok(())
    }

    /// Reserves what the nodes route elsewhere, and reports what was loose the last time, too.
    async fn closer(&self, before: &mut BTreeMap<String, Found>) -> Result<(), Failure> {
        let image = image::image()?;
        let nodes = self.swarm.nodes().await?;
        let mut not_asked: BTreeSet<String> = nodes.into_iter().map(|node| node.name).collect();
        let mut routes = BTreeSet::new();
        let mut loose = BTreeMap::new();
        for host in self.swarm.hosts() {
            let Some((_, name)) = host.node_and_name().await else { continue };
            match self.routes(host, &name, &image).await {
                Ok(found) => routes.extend(found),
                Err(error) => {
                    let error = model::error::chain(&*error);
                    tracing::warn!(node = name, error, "a node's routes are not known");
                }
            }
            match host.loose_endpoints(&self.platform.name).await {
                Ok(found) => {
                    loose.extend(found.iter().map(|endpoint| leaked(&name, endpoint)));
                    not_asked.remove(&name);
                }
                Err(error) => {
                    tracing::warn!(node = name, %error, "its networks' ends are not known")
                }
            }
        }
        let routes: Vec<SeenRange> = routes.into_iter().collect();
        reserved_ranges_seen(&self.database, &routes).await?;
        let still = loose.iter().filter(|(object, _)| before.contains_key(*object));
        let still = still.map(|(object, found)| (object.clone(), found.clone())).collect();
        let not_asked: Vec<String> = not_asked.into_iter().collect();
        let what = (DriftKind::Leaked, ObjectType::Endpoint);
        report(&self.database, what, still, &not_asked).await?;
        *before = loose;
        Ok(())
    }

    async fn routes(
        &self,
        host: &Host,
        node: &str,
        image: &image::Image,
    ) -> Result<Vec<SeenRange>, Failure> {
        host.image_load(&image.id, &image.archive).await?;
        let container = format!("skep-routes-{}", self.platform.name);
        Ok(elsewhere(node, &host.routes(&image.id, "routes", &container).await?))
    }
}

/// Of what runs on a node that is cut off, what the swarm has given up there, by the node's name and its own.
fn duplicated(
    node: &str,
    running: Vec<FoundContainer>,
    wanted: &HashSet<String>,
) -> BTreeMap<String, Found> {
    let given_up = running.into_iter().filter(|container| !wanted.contains(&container.task));
    given_up
        .map(|container| {
            let sentence = format!(
                "the node {node} is cut off from the swarm and goes on running {}, which the swarm has given up and may run \
                 elsewhere: bring the node back, and it ends; or stop its Docker",
                container.name
            );
            let app = Some((container.organization, container.app));
            (format!("{node}/{}", container.name), Found { app, sentence })
        })
        .collect()
}

/// An end of a network that nobody has, by its name: addresses that are gone until the node's Docker forgets them.
fn leaked(node: &str, endpoint: &LooseEndpoint) -> (String, Found) {
    let short = endpoint.id.get(..12).unwrap_or(&endpoint.id);
    let sentence = format!(
        "on the node {node} the network {} has an end at {} that no container has: its address is lost, and the network cannot be \
         removed there; `docker network disconnect --force {} {short}` on the node, or a restart of its Docker, takes it away",
        endpoint.network, endpoint.address, endpoint.network
    );
    (format!("{node}/{}/{short}", endpoint.network), Found { app: None, sentence })
}

/// What a node routes elsewhere: all of its routes, but for the default one and those of Docker's own bridges, which are known as
/// networks.
fn elsewhere(node: &str, printed: &str) -> Vec<SeenRange> {
    let is_dockers =
        |interface: &str| interface.starts_with("docker") || interface.starts_with("br-");
    printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(interface, _)| !is_dockers(interface))
        .filter_map(|(interface, range)| Some((interface, range.parse::<Ipv4Net>().ok()?)))
        .filter(|(_, range)| range.prefix_len() > 0)
        .map(|(interface, range)| {
            seen(range, ReservedBy::Node, &format!("a route of the node {node}, by {interface}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use model::id::{AppId, OrganizationId};

    use super::*;

    #[test]
    fn what_the_swarm_wants_is_no_duplicate() {
        let container = |task: &str| FoundContainer {
            task: task.into(),
            name: format!("web.1.{task}"),
            organization: OrganizationId::new(),
            app: AppId::new(),
        };
        let wanted = HashSet::from(["new".to_owned()]);
        let found = duplicated("rig3", vec![container("old"), container("new")], &wanted);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["rig3/web.1.old"]);
        assert!(found["rig3/web.1.old"].sentence.contains("web.1.old"));
    }

    #[test]
    fn routes_are_reserved_but_for_the_default_and_dockers_bridges() {
        let printed = "eth0 0.0.0.0/0\neth0 203.0.113.0/24\ndocker0 172.17.0.0/16\nbr-ab12 172.18.0.0/16\n\
            docker_gwbridge 172.19.0.0/16\ntun0 10.8.0.0/16\n";
        let told: Vec<String> = elsewhere("n1", printed)
            .iter()
            .map(|seen| format!("{} {}", seen.range, seen.note))
            .collect();
        assert_eq!(
            told,
            [
                "203.0.113.0/24 a route of the node n1, by eth0",
                "10.8.0.0/16 a route of the node n1, by tun0"
            ]
        );
    }
}
