//! Each cause for which no node takes a task, with its sentence.

use std::collections::BTreeMap;

use chrono::Utc;
use model::id::{AppId, EnvironmentId, NetworkId, OrganizationId, ReleaseId};
use model::network::{Network, NetworkAccess};
use model::platform::{Encryption, Platform};
use model::release::Release;
use model::spec::EndpointMode;
use model::stored::Stored;

use super::*;

/// A release of 4 cores and 8 GB, of which the platform reserves a tenth and a half.
fn sentence(constraints: &[&str], error: Option<&str>, nodes: Option<&[Node]>) -> Reason {
    let mut spec = AppSpec::of_image("web:v3");
    (spec.cpu_millis, spec.memory_mb) = (4000, 8192);
    spec.constraints = constraints.iter().map(|&text| text.into()).collect();
    let organization = OrganizationId::new();
    let now = Utc::now();
    let release = Release {
        id: ReleaseId::new(),
        organization_id: organization,
        app_id: AppId::new(),
        number: 3,
        spec: Stored(spec),
        spec_version: 1,
        resolved_image: None,
        stable_at: None,
        created_at: now,
        updated_at: now,
    };
    let network = Network {
        id: NetworkId::new(),
        organization_id: organization,
        environment_id: EnvironmentId::new(),
        name: "org-acme-network".into(),
        subnet: "10.64.0.0/24".parse().unwrap(),
        access: NetworkAccess::Egress,
        encrypted: true,
        retired_at: None,
        reserved_addresses: 0,
        mtu: None,
        created_at: now,
        updated_at: now,
    };
    let platform = Platform {
        name: "skep".into(),
        endpoint_mode: EndpointMode::Vip,
        local_images: false,
        cpu_reservation_ratio: 0.1,
        memory_reservation_ratio: 0.5,
        tenants_on_managers: false,
        encryption: Encryption::On,
        network_mtu: None,
        deadline_schedule_seconds: 120,
        deadline_pull_seconds: 300,
        deadline_healthy_seconds: 60,
        deadline_progress_seconds: 600,
        on_drift: model::drift::OnDrift::Repair,
        on_disk_full: model::disk::OnDiskFull::Warn,
    };
    let task = Task {
        id: "task".into(),
        slot: 1,
        node: None,
        state: if error.is_some() { TaskState::Pending } else { TaskState::New },
        desired: TaskState::Running,
        created_at: Some(now),
        ended_at: None,
        error: error.map(Into::into),
        exit_code: None,
        container: None,
        spec_hash: None,
        restart_counter: 0,
    };
    let subject = Subject { platform: &platform, network: &network, release: &release };
    unscheduled(&subject, &task, nodes)
}

/// A node with so many cores and gigabytes, half of both reserved.
fn node(is_manager: bool, cores: i64, gigabytes: i64, disk: &str) -> Node {
    let capacity = Resources { cpu_nanos: cores * 1_000_000_000, memory_bytes: gigabytes << 30 };
    Node {
        is_available: true,
        is_manager,
        labels: BTreeMap::from([("disk".into(), disk.into())]),
        os: "linux".into(),
        arch: "x86_64".into(),
        capacity,
        reserved: Resources {
            cpu_nanos: capacity.cpu_nanos / 2,
            memory_bytes: capacity.memory_bytes / 2,
        },
        ..Node::default()
    }
}

const SWARM: &str = "no suitable node (insufficient resources on 1 node)";

#[test]
fn what_is_missing_is_told_with_its_figures() {
    let told = |nodes: &[Node]| sentence(&[], Some(SWARM), Some(nodes)).sentence;
    assert_eq!(
        told(&[node(true, 2, 4, "")]),
        "no node took replica 1 of v3 within 120 s: no node has 4096 MB free; it asks for 4 CPU (0.4 \
         reserved) and 8192 MB (4096 reserved), and the most that one node has free is 1 CPU and 2048 \
         MB (Swarm: no suitable node (insufficient resources on 1 node))"
    );
    let tiny = Node {
        capacity: Resources { cpu_nanos: 700_000_000, memory_bytes: 32 << 30 },
        ..node(true, 1, 0, "")
    };
    assert!(told(&[tiny]).contains("no node has 0.4 CPU free; "));
    let (wide, deep) = (node(true, 16, 2, ""), node(true, 0, 64, ""));
    assert!(told(&[wide, deep]).contains("no node has 0.4 CPU and 4096 MB free at once; "));
    assert!(told(&[node(true, 0, 0, "")]).contains("no node has 0.4 CPU and 4096 MB free; "));
}

#[test]
fn managers_do_not_count_where_there_are_workers() {
    let (manager, worker) = (node(true, 64, 256, ""), node(false, 2, 4, ""));
    let nodes = [manager.clone(), worker.clone()];
    let told = sentence(&[], Some(SWARM), Some(&nodes)).sentence;
    assert!(told.contains("no node that it may run on has 4096 MB free; "), "{told}");
    let nodes = [manager, Node { is_available: false, ..worker }];
    let told = sentence(&[], Some(SWARM), Some(&nodes)).sentence;
    assert!(told.contains("no worker node is up and takes new tasks"), "{told}");
}

#[test]
fn a_constraint_that_no_node_matches_is_named() {
    let nodes = [node(true, 8, 64, "ssd"), node(true, 8, 64, "hdd")];
    let told = |constraints: &[&str]| sentence(constraints, Some(SWARM), Some(&nodes)).sentence;
    let nvme = told(&["node.platform.os==linux", "node.labels.disk==nvme"]);
    assert!(nvme.contains(": the constraint node.labels.disk==nvme matches no node ("), "{nvme}");
    let both = told(&["node.labels.disk==ssd", "node.labels.disk==hdd"]);
    assert!(
        both.contains("no node matches all of node.labels.disk==ssd, node.labels.disk==hdd"),
        "{both}"
    );
    let none = told(&["node.labels.gpu==any", "node.platform.arch==aarch64"]);
    assert!(
        none.contains(
            "the constraints node.labels.gpu==any and node.platform.arch==aarch64 match no node"
        ),
        "{none}"
    );
}

#[test]
fn where_nodes_are_not_known_swarm_has_the_word() {
    let roomy = [node(true, 64, 256, "")];
    for nodes in [None, Some(roomy.as_slice())] {
        let told = sentence(&[], Some(SWARM), nodes);
        assert_eq!(told.code, ReasonCode::Unschedulable);
        assert!(
            told.sentence
                .contains(": it asks for 4 CPU (0.4 reserved) and 8192 MB (4096 reserved)")
                && told.sentence.contains(SWARM),
            "{}",
            told.sentence
        );
    }
}

#[test]
fn a_task_that_stays_new_has_no_address() {
    let told = sentence(&[], None, None);
    assert_eq!(told.code, ReasonCode::ScheduleDeadline);
    assert!(
        told.sentence.contains("the network org-acme-network has no address left in 10.64.0.0/24"),
        "{}",
        told.sentence
    );
}
