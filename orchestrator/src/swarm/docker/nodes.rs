//! Nodes as the Engine API tells of them, with what the tasks on them have reserved. Two lists, put
//! together: Swarm itself says of no node what is left.

use std::collections::HashMap;
use std::net::SocketAddrV4;

use bollard::models::{
    Node as DockerNode, NodeSpecAvailabilityEnum, NodeSpecRoleEnum, NodeState, ResourceObject,
    Task as DockerTask,
};

use super::incoming::is_over;
use crate::swarm::{Node, Resources};

/// The nodes with what `tasks` have reserved on them. A task holds what it reserved until it has
/// ended.
pub(super) fn nodes(nodes: Vec<DockerNode>, tasks: Vec<DockerTask>) -> Vec<Node> {
    let mut reserved: HashMap<String, Resources> = HashMap::new();
    for task in tasks.into_iter().filter(|task| !is_over(task)) {
        let Some(node) = task.node_id.filter(|id| !id.is_empty()) else { continue };
        let asked = task.spec.and_then(|spec| spec.resources).unwrap_or_default().reservations;
        let sum = reserved.entry(node).or_default();
        *sum = sum.plus(resources(asked));
    }
    nodes.into_iter().map(|node| self::node(node, &reserved)).collect()
}

fn node(node: DockerNode, reserved: &HashMap<String, Resources>) -> Node {
    let id = node.id.unwrap_or_default();
    let spec = node.spec.unwrap_or_default();
    let description = node.description.unwrap_or_default();
    let platform = description.platform.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let state = status.state;
    // A manager may say `0.0.0.0` of itself; as a manager it says where it is reached, with a port.
    let manager = node.manager_status.and_then(|manager| manager.addr);
    let manager = manager.and_then(|address| address.parse().ok());
    let address = manager.map(|address: SocketAddrV4| *address.ip());
    let address = address.or_else(|| status.addr?.parse().ok());
    Node {
        name: description.hostname.unwrap_or_default(),
        address: address.filter(|address| !address.is_unspecified()),
        is_available: state == Some(NodeState::READY)
            && spec.availability == Some(NodeSpecAvailabilityEnum::ACTIVE),
        is_manager: spec.role == Some(NodeSpecRoleEnum::MANAGER),
        labels: spec.labels.unwrap_or_default().into_iter().collect(),
        os: platform.os.unwrap_or_default(),
        arch: platform.architecture.unwrap_or_default(),
        capacity: resources(description.resources),
        reserved: reserved.get(&id).copied().unwrap_or_default(),
        id,
    }
}

/// A node, and whether Swarm has given it up.
pub(crate) struct KnownNode {
    pub(crate) id: String,
    pub(crate) is_down: bool,
}

/// What a manager says of a node.
pub(super) fn known(node: DockerNode) -> Option<KnownNode> {
    let is_down = node.status.and_then(|status| status.state) == Some(NodeState::DOWN);
    Some(KnownNode { id: node.id?, is_down })
}

fn resources(resources: Option<ResourceObject>) -> Resources {
    let resources = resources.unwrap_or_default();
    Resources {
        cpu_nanos: resources.nano_cpus.unwrap_or_default(),
        memory_bytes: resources.memory_bytes.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn task(node: Value, state: &str, cpu: i64) -> DockerTask {
        let reserved = json!({ "NanoCPUs": cpu, "MemoryBytes": 10 });
        from_value(json!({
            "NodeID": node,
            "Status": { "State": state },
            "Spec": { "Resources": { "Reservations": reserved } },
        }))
        .unwrap()
    }

    #[test]
    fn what_is_free_is_what_no_task_has_reserved() {
        let node = |id: &str, availability: &str| -> DockerNode {
            from_value(json!({
                "ID": id,
                "Spec": { "Role": "worker", "Availability": availability, "Labels": { "disk": "ssd" } },
                "Description": {
                    "Platform": { "Architecture": "x86_64", "OS": "linux" },
                    "Resources": { "NanoCPUs": 100, "MemoryBytes": 1000 },
                },
                "Status": { "State": "ready", "Addr": "192.0.2.7" },
            }))
            .unwrap()
        };
        let tasks = vec![
            task(json!("one"), "running", 30),
            task(json!("one"), "preparing", 5),
            task(json!("one"), "failed", 50),
            task(json!("two"), "running", 7),
            task(json!(null), "pending", 60),
            from_value(json!({ "NodeID": "one", "Status": { "State": "running" } })).unwrap(),
        ];
        let found = nodes(vec![node("one", "active"), node("two", "drain")], tasks);
        assert_eq!(found[0].free(), Resources { cpu_nanos: 65, memory_bytes: 980 });
        assert_eq!(found[1].free(), Resources { cpu_nanos: 93, memory_bytes: 990 });
        assert!(found[0].is_available && !found[1].is_available && !found[0].is_manager);
        assert_eq!((&*found[0].os, &*found[0].arch), ("linux", "x86_64"));
        assert_eq!(found[0].labels["disk"], "ssd");
        assert_eq!(found[0].address, Some([192, 0, 2, 7].into()));
    }
}
