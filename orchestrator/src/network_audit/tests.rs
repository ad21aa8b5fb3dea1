use chrono::DateTime;
use model::id::{EnvironmentId, NetworkId, OrganizationId};
use model::network::NetworkAccess;

use super::*;

fn ours(name: &str, subnet: &str) -> Network {
    Network {
        id: NetworkId::new(),
        organization_id: OrganizationId::new(),
        environment_id: EnvironmentId::new(),
        name: name.into(),
        subnet: subnet.parse().unwrap(),
        mtu: None,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        access: NetworkAccess::Egress,
        encrypted: true,
        retired_at: None,
        reserved_addresses: 0,
    }
}

fn found(name: &str, driver: &str, subnet: &str) -> FoundNetwork {
    FoundNetwork {
        name: name.into(),
        driver: driver.into(),
        labels: BTreeMap::new(),
        subnets: vec![subnet.parse().unwrap()],
        encrypted: true,
        internal: false,
        is_swarms: driver == "overlay",
    }
}

fn survey(networks: Vec<FoundNetwork>) -> Survey {
    Survey { nodes: 1, networks, local_pools: vec!["172.17.0.0/16".parse().unwrap()] }
}

#[test]
fn what_others_use_is_reserved_once_and_what_is_ours_is_not() {
    let rows = [ours("org-a", "10.64.0.0/24")];
    let bridge = found("bridge", "bridge", "172.17.0.0/16");
    let survey = survey(vec![
        found("org-a", "overlay", "10.64.0.0/24"),
        bridge.clone(),
        bridge,
        found("somebody-elses", "overlay", "10.64.1.0/24"),
        // A copy that a node keeps of one that was removed.
        FoundNetwork {
            labels: BTreeMap::from([(names::LABEL_PLATFORM.into(), "skep".into())]),
            is_swarms: false,
            ..found("org-gone", "overlay", "10.64.9.0/24")
        },
        // The swarm's, and in no row: the database is an older one.
        FoundNetwork {
            labels: BTreeMap::from([(names::LABEL_PLATFORM.into(), "skep".into())]),
            ..found("org-orphan", "overlay", "10.64.8.0/24")
        },
        // It only bears the name.
        found("org-a", "bridge", "10.64.2.0/24"),
    ]);
    let reserved = others(&survey, &rows, "skep", &[]);
    let told: Vec<String> =
        reserved.iter().map(|seen| format!("{} {}", seen.range, seen.note)).collect();
    assert_eq!(
        told,
        [
            "10.64.1.0/24 Docker's network somebody-elses",
            "10.64.2.0/24 Docker's network org-a",
            "10.64.8.0/24 Docker's network org-orphan",
            "172.17.0.0/16 Docker's network bridge",
            "172.17.0.0/16 what a node's Docker makes local networks from",
        ]
    );
    let chosen = ["172.16.0.0/12".parse().unwrap()];
    assert_eq!(others(&survey, &rows, "skep", &chosen).len(), 4, "an operator chose that");
}

#[test]
fn what_is_not_as_it_should_be_is_told() {
    let rows = [
        ours("good", "10.64.0.0/24"),
        ours("clear", "10.64.1.0/24"),
        ours("absent", "10.64.2.0/24"),
    ];
    let labelled = |row: &Network| FoundNetwork {
        labels: network::labels("skep", row),
        ..found(&row.name, "overlay", &row.subnet.to_string())
    };
    let clear = FoundNetwork { encrypted: false, ..labelled(&rows[1]) };
    let told = changed(&survey(vec![labelled(&rows[0]), clear]), &rows, "skep");
    assert_eq!(told.keys().collect::<Vec<_>>(), ["clear"]);
    assert!(told["clear"].contains("it is not encrypted and should be encrypted"), "{told:?}");
    let foreign = FoundNetwork { labels: BTreeMap::new(), ..labelled(&rows[0]) };
    let told = changed(&survey(vec![foreign]), &rows, "skep");
    assert!(told["good"].contains("not this installation's"), "{told:?}");
}

#[test]
fn who_overlaps_whom_is_told() {
    let rows = [ours("org-a", "10.64.0.0/24"), ours("org-b", "10.64.1.0/24")];
    let told = overlapping(
        &survey(vec![
            found("org-a", "overlay", "10.64.0.0/24"),
            found("vpn", "bridge", "10.64.1.128/25"),
        ]),
        &rows,
    );
    assert_eq!(told.keys().collect::<Vec<_>>(), ["org-b"]);
    assert!(told["org-b"].contains("10.64.1.128/25 of Docker's network vpn"), "{told:?}");
}
