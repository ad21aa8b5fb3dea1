//! What only a node's own daemon knows of it: the containers that it runs, the ends of networks that it keeps, and where it routes
//! to.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, HostConfigLogConfig, NetworkInspect,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListNodesOptions, ListTasksOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, WaitContainerOptions,
};
use chrono::Utc;
use futures::TryStreamExt as _;
use futures::future::join_all;
use model::id::WorkerId;
use model::names;
use tokio::time::{Instant, timeout, timeout_at};

use super::nodes::{self, KnownNode};
use super::{DockerSwarm, Host, call, no_answer, optional};
use crate::swarm::node_findings::{FoundContainer, LooseEndpoint};
use crate::swarm::{SwarmResult, Task};

/// Docker's label of a task's container: the task's id.
pub(super) const TASK_ID: &str = "com.docker.swarm.task.id";
/// The same: the task's name.
const TASK_NAME: &str = "com.docker.swarm.task.name";
/// How long a container that prints a few lines may take from its start to its end.
const PRINTED: Duration = Duration::from_secs(20);
/// Seconds after which such a container is nobody's any more.
const LEFT_BEHIND: i64 = 120;

impl DockerSwarm {
    /// The swarm's nodes, as a manager lists them.
    pub(crate) async fn known_nodes(&self) -> SwarmResult<Vec<KnownNode>> {
        let nodes = call(self.docker.list_nodes(None::<ListNodesOptions>)).await?;
        Ok(nodes.into_iter().filter_map(nodes::known).collect())
    }

    /// Where running tasks are on their network: each asked of its own node's daemon, all at once, as far as `deadline` lets.
    pub(super) async fn addresses_within(
        &self,
        network: &str,
        tasks: &[&Task],
        deadline: Instant,
    ) -> HashMap<String, Ipv4Addr> {
        let asked = self.hosts.iter().map(|host| host.addresses(network, tasks, deadline));
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Ids of the tasks that the swarm wants to run.
    pub(crate) async fn tasks_wanted(&self) -> SwarmResult<HashSet<String>> {
        let wanted = HashMap::from([("desired-state", vec!["ready", "running"])]);
        let options = ListTasksOptionsBuilder::new().filters(&wanted).build();
        let tasks = call(self.docker.list_tasks(Some(options))).await?;
        Ok(tasks.into_iter().filter_map(|task| task.id).collect())
    }
}

impl Host {
    /// Where those of the tasks that run on its node are.
    async fn addresses(
        &self,
        network: &str,
        tasks: &[&Task],
        deadline: Instant,
    ) -> Vec<(String, Ipv4Addr)> {
        let mut addresses = Vec::new();
        let Some(node) = self.node_lately().await else { return addresses };
        for task in tasks.iter().filter(|task| task.node.as_ref() == Some(&node)) {
            let Some(container) = &task.container else { continue };
            let asked = async { call(self.docker()?.inspect_container(container, None)).await };
            let Ok(found) = timeout_at(deadline, asked).await else {
                self.hangs().await;
                break;
            };
            // One that is gone by now has no address.
            if let Some(address) = found.ok().and_then(|found| address(found, network)) {
                addresses.push((task.id.clone(), address));
            }
        }
        addresses
    }

    /// Containers of an installation's tasks that run there.
    pub(crate) async fn containers(&self, platform: &str) -> SwarmResult<Vec<FoundContainer>> {
        let label = format!("{}={platform}", names::LABEL_PLATFORM);
        let filter = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListContainersOptionsBuilder::new().filters(&filter).build();
        let found = call(self.docker()?.list_containers(Some(options))).await?;
        let containers = found.into_iter().filter_map(|container| {
            let labels = container.labels?;
            Some(FoundContainer {
                task: labels.get(TASK_ID)?.clone(),
                name: labels.get(TASK_NAME)?.clone(),
                app: labels.get(names::LABEL_APP)?.parse().ok()?,
            })
        });
        Ok(containers.collect())
    }

    /// Ends of an installation's networks that no container of the node's has. One that is just being attached looks the same.
    pub(crate) async fn loose_endpoints(&self, platform: &str) -> SwarmResult<Vec<LooseEndpoint>> {
        let docker = self.docker()?;
        let label = format!("{}={platform}", names::LABEL_PLATFORM);
        let filter = HashMap::from([("label", vec![label.as_str()]), ("driver", vec!["overlay"])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filter).build();
        let mut loose = Vec::new();
        for network in call(docker.list_networks(Some(options))).await? {
            let Some(id) = network.id else { continue };
            // One that is gone by now has no ends.
            if let Some(found) = optional(call(docker.inspect_network(&id, None)).await)? {
                loose.extend(of_network(found));
            }
        }
        Ok(loose)
    }

    /// The IPv4 routes of the node, as a program in its network namespace prints them. `name` is what the names of all its containers
    /// start with.
    pub(crate) async fn routes(
        &self,
        image: &str,
        command: &str,
        name: &str,
    ) -> SwarmResult<String> {
        let docker = self.docker()?;
        self.left_behind_remove(name).await?;
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec![command.to_owned()]),
            host_config: Some(HostConfig {
                network_mode: Some("host".to_owned()),
                readonly_rootfs: Some(true),
                cap_drop: Some(vec!["ALL".to_owned()]),
                // Whatever the daemon does with logs otherwise: what it prints is read from there.
                log_config: Some(HostConfigLogConfig {
                    typ: Some("json-file".to_owned()),
                    config: Some(HashMap::from([("max-size".to_owned(), "4m".to_owned())])),
                }),
                memory: Some(64 << 20),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        // Another worker may be at it.
        let container = format!("{name}-{}", WorkerId::new());
        let options = CreateContainerOptionsBuilder::new().name(&container).build();
        call(docker.create_container(Some(options), body)).await?;
        let printed = async {
            call(docker.start_container(&container, None::<StartContainerOptions>)).await?;
            let ended = docker.wait_container(&container, None::<WaitContainerOptions>);
            let ended = timeout(PRINTED, ended.try_collect::<Vec<_>>()).await;
            ended.map_err(|_| no_answer())?.map_err(super::incoming::error)?;
            let options = LogsOptionsBuilder::new().stdout(true).build();
            let lines = docker.logs(&container, Some(options)).map_ok(|line| line.to_string());
            let lines: Vec<String> = call(lines.try_collect()).await?;
            Ok(lines.concat())
        }
        .await;
        if let Err(error) = self.container_remove(&container).await {
            tracing::warn!(container, %error, "it stays until the routes are read again");
        }
        printed
    }

    /// What workers left behind that died while they read routes.
    async fn left_behind_remove(&self, name: &str) -> SwarmResult<()> {
        let named = format!("^/{name}-");
        let filter = HashMap::from([("name", vec![named.as_str()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let old = Utc::now().timestamp() - LEFT_BEHIND;
        for found in call(self.docker()?.list_containers(Some(options))).await? {
            if let Some(id) = found.id.filter(|_| found.created.is_some_and(|at| at < old)) {
                self.container_remove(&id).await?;
            }
        }
        Ok(())
    }

    async fn container_remove(&self, container: &str) -> SwarmResult<()> {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        let removed = call(self.docker()?.remove_container(container, Some(options))).await;
        optional(removed).map(|_| ())
    }
}

/// The address that a container has on a network of this id.
pub(super) fn address(container: ContainerInspectResponse, network: &str) -> Option<Ipv4Addr> {
    let networks = container.network_settings?.networks?;
    let found = networks.into_values().find(|found| found.network_id.as_deref() == Some(network));
    found?.ip_address?.parse().ok()
}

/// Docker lists an end that no container holds by its own id, after `ep-` (moby, `daemon/network.go`).
fn of_network(network: NetworkInspect) -> impl Iterator<Item = LooseEndpoint> {
    let name = network.name.unwrap_or_default();
    network.containers.unwrap_or_default().into_iter().filter_map(move |(key, found)| {
        let id = key.strip_prefix("ep-")?.to_owned();
        let name_of_end = found.name.unwrap_or_default();
        let address = found.ipv4_address.unwrap_or_default();
        Some(LooseEndpoint { network: name.clone(), id, name: name_of_end, address })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn an_end_that_no_container_holds_is_loose() {
        let network: NetworkInspect = from_value(json!({
            "Name": "org-acme-network",
            "Containers": {
                "4f0c": { "Name": "web.1.x", "EndpointID": "aa", "IPv4Address": "10.64.0.4/24" },
                "lb-org-acme-network": { "Name": "org-acme-network-endpoint", "IPv4Address": "10.64.0.2/24" },
                "ep-bb": { "Name": "web.2.y", "EndpointID": "bb", "IPv4Address": "10.64.0.9/24" },
            },
        }))
        .unwrap();
        let loose: Vec<LooseEndpoint> = of_network(network).collect();
        let expected = LooseEndpoint {
            network: "org-acme-network".into(),
            id: "bb".into(),
            name: "web.2.y".into(),
            address: "10.64.0.9/24".into(),
        };
        assert_eq!(loose, [expected]);
    }
}
