//! Hosts: the daemons of single nodes. Most of what Skep asks, the swarm's managers know; its images and what
//! became of its containers only a node's own daemon knows. Nothing here drives the swarm.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, Node as DockerNode, NodeState};
use bollard::query_parameters::ListNodesOptions;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures::future::{join_all, select_ok};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{DockerSwarm, call};
use crate::swarm::{CALL, SwarmError, SwarmResult};

/// How long a daemon is believed to be of the node that it said.
const LATELY: Duration = Duration::from_secs(60);
/// How long a daemon may take to say it to who asks in passing.
const IN_PASSING: Duration = Duration::from_millis(500);

/// The daemon of one node.
pub struct Host {
    address: String,
    /// Its node, as it said lately.
    node: Mutex<Option<(Instant, Option<String>)>>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl Host {
    /// The daemon at `address`, a `unix://` URL. Nothing is asked of it yet, and it need not be there.
    pub(super) fn at(address: &str) -> SwarmResult<Self> {
        if !address.starts_with("unix://") {
            return Err(SwarmError::Refused(format!(
                "the Docker host {address} is no unix:// socket: only those are driven (plain TCP never will be)"
            )));
        }
        Ok(Self { address: address.to_owned(), node: Mutex::default() })
    }

    /// Path of its socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.address.trim_start_matches("unix://").into()
    }

    /// A client of it. Made when it is needed: a socket that is brought from another machine comes and goes.
    pub(super) fn docker(&self) -> SwarmResult<Docker> {
        Docker::connect_with_unix(&self.address, CALL.as_secs(), API_DEFAULT_VERSION)
            .map_err(|error| SwarmError::Unavailable(error.to_string()))
    }

    /// Swarm's id of its node, and what the node calls itself; none where it does not say so now.
    pub(crate) async fn node_and_name(&self) -> Option<(String, String)> {
        let info = call(self.docker().ok()?.info()).await.ok()?;
        Some((info.swarm?.node_id?, info.name.unwrap_or_default()))
    }

    /// Swarm's id of its node, asked for once a minute; none where it did not say so then. Whoever asks waits for a daemon that hangs
    /// once a minute, too.
    pub(super) async fn node_lately(&self) -> Option<String> {
        let mut node = self.node.lock().await;
        match &*node {
            Some((at, known)) if at.elapsed() < LATELY => known.clone(),
            _ => {
                let found = timeout(IN_PASSING, self.node()).await.ok().flatten();
                *node = Some((Instant::now(), found.clone()));
                found
            }
        }
    }

    /// It did not answer in time: nobody waits for it again for a minute.
    pub(super) async fn hangs(&self) {
        *self.node.lock().await = Some((Instant::now(), None));
    }

    /// Swarm's id of its node; none where it does not say so now.
    async fn node(&self) -> Option<String> {
        call(self.docker().ok()?.info()).await.ok()?.swarm?.node_id
    }
}

impl DockerSwarm {
    /// Reaches these daemons of other nodes too.
    pub fn with_hosts(mut self, addresses: &[String]) -> SwarmResult<Self> {
        // Also of a list that ends with a comma, or is empty.
        for address in addresses.iter().map(|address| address.trim()).filter(|one| !one.is_empty())
        {
            self.hosts.push(Host::at(address)?);
        }
        Ok(self)
    }

    /// The daemons that are reached, the manager's first.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Nodes that are up and that no reached daemon is of, by host name and id.
    pub(crate) async fn nodes_without_host(&self) -> SwarmResult<BTreeSet<String>> {
        let nodes = call(self.docker.list_nodes(None::<ListNodesOptions>)).await?;
        let reached = join_all(self.hosts.iter().map(Host::node)).await;
        Ok(without_host(nodes, &reached.into_iter().flatten().collect()))
    }

    /// A container, wherever in the swarm it is; none where no reached daemon knows it. Its id is no other
    /// container's on any node.
    pub(super) async fn container(&self, id: &str) -> Option<ContainerInspectResponse> {
        let asked = self
            .hosts
            .iter()
            .map(|host| Box::pin(async { call(host.docker()?.inspect_container(id, None)).await }));
        select_ok(asked).await.ok().map(|(found, _)| found)
    }
}

fn without_host(nodes: Vec<DockerNode>, reached: &HashSet<String>) -> BTreeSet<String> {
    let is_up = |node: &DockerNode| {
        node.status.as_ref().and_then(|status| status.state) == Some(NodeState::READY)
    };
    nodes
        .into_iter()
        .filter(is_up)
        .filter_map(|node| {
            let id = node.id.filter(|id| !reached.contains(id))?;
            let name = node.description.and_then(|description| description.hostname);
            Some(format!("{} ({id})", name.unwrap_or_default()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_node_that_is_up_has_a_host_or_is_named() {
        let node = |id: &str, state: &str| {
            let node = json!({ "ID": id, "Status": { "State": state },
                "Description": { "Hostname": format!("host-{id}") } });
            from_value::<DockerNode>(node).unwrap()
        };
        let nodes = vec![node("a", "ready"), node("b", "ready"), node("c", "down")];
        let named = without_host(nodes, &HashSet::from(["a".to_owned()]));
        assert_eq!(named, BTreeSet::from(["host-b (b)".to_owned()]));
    }

    #[tokio::test]
    async fn a_daemon_that_hangs_is_waited_for_once_a_minute() {
        let socket = std::env::temp_dir().join(format!("skep-hangs-{}.sock", std::process::id()));
        let _taken_and_never_answered = UnixListener::bind(&socket).unwrap();
        let host = Host::at(&format!("unix://{}", socket.display())).unwrap();
        assert_eq!(timeout(CALL, host.node_lately()).await, Ok(None), "before a call's own bound");
        let again = timeout(IN_PASSING / 2, host.node_lately()).await;
        std::fs::remove_file(socket).unwrap();
        assert_eq!(again, Ok(None), "not asked again");
    }

    #[test]
    fn only_sockets_are_reached() {
        for address in ["tcp://10.0.0.1:2375", "http://localhost", "10.0.0.1"] {
            let refused = Host::at(address).err().unwrap().to_string();
            assert!(refused.contains(address), "{refused}");
        }
    }
}
