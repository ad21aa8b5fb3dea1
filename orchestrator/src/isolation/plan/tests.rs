use serde_json::{Value, json};

use model::isolation_check::MOST;

use super::*;

const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const NAMES: [&str; 2] = ["acme/production", "globex/production"];

fn listener(environment: usize) -> Listener {
    Listener {
        environment,
        address: Ipv4Addr::new(10, 64, environment as u8, 2),
        names: vec![format!("listener-{environment}")],
    }
}

/// What probes in both environments tell, where `outcome` says what came of each attempt: told by whose listener it was
/// meant for, and the attempt.
fn check(outcome: impl Fn(bool, &Value) -> Value) -> (IsolationVerdict, String, Vec<Finding>) {
    let targets = Targets {
        listeners: vec![listener(0), listener(1)],
        nodes: vec![Neighbour { name: "node-2".into(), address: NODE }],
    };
    let environments = NAMES.map(str::to_owned);
    let mut all = Vec::new();
    for environment in [0, 1] {
        let prober = Prober { environment, node: "node-1".into() };
        let told: Vec<Told> = attempts(&targets, environment)
            .iter()
            .enumerate()
            .map(|(index, attempt)| {
                let is_own = index / 4 == environment;
                let attempt = serde_json::to_value(attempt).unwrap();
                let mut told = outcome(is_own, &attempt);
                if told["outcome"] == "own" {
                    let address = &targets.listeners[environment].address;
                    told = json!({ "outcome": "resolved", "addresses": [address] });
                }
                told["id"] = attempt["id"].clone();
                serde_json::from_value(told).unwrap()
            })
            .collect();
        all.extend(findings(&prober, &targets, &environments, &told));
    }
    let (verdict, sentence) = verdict(&all);
    (verdict, sentence, all)
}

/// As it should be.
fn apart(is_own: bool, attempt: &Value) -> Value {
    let is_gateway = attempt.get("address").is_some_and(Value::is_null);
    let is_node = attempt["address"] == NODE.to_string();
    let outcome = match (attempt["try"].as_str().unwrap(), is_own) {
        _ if is_gateway || is_node => {
            if attempt["port"] == if is_node { 2377 } else { 22 } {
                "answered"
            } else {
                "refused"
            }
        }
        ("name", true) => "own",
        ("name", false) => "unknown",
        (_, true) => "answered",
        (_, false) => "silent",
    };
    json!({ "outcome": outcome })
}

#[test]
fn what_is_apart_is_isolated_and_what_its_node_has_open_is_told() {
    let (verdict, sentence, findings) = check(apart);
    assert_eq!(verdict, IsolationVerdict::Isolated, "{sentence}");
    assert_eq!(
        sentence,
        "none of 8 attempts got across, and all 8 inside were answered; of their nodes node-2:2377, the gateway:22 was reached"
    );
    assert!(findings.iter().all(|finding| finding.as_expected));
}

#[test]
fn anything_that_gets_across_is_a_breach() {
    for outcome in ["answered", "refused"] {
        for way in ["tcp", "udp", "icmp"] {
            let (verdict, sentence, _) = check(|is_own, attempt| {
                let is_across = !is_own
                    && attempt["try"] == way
                    && !attempt["address"].is_null()
                    && attempt["address"] != NODE.to_string();
                if is_across { json!({ "outcome": outcome }) } else { apart(is_own, attempt) }
            });
            assert_eq!(verdict, IsolationVerdict::Breached, "{way} {outcome}");
            assert!(sentence.starts_with("2 of 8 attempts got across"), "{sentence}");
        }
    }
    let (verdict, sentence, _) = check(|is_own, attempt| {
        let is_across = !is_own && attempt["try"] == "name";
        let elsewhere = json!({ "outcome": "resolved", "addresses": ["10.64.9.9"] });
        if is_across { elsewhere } else { apart(is_own, attempt) }
    });
    assert_eq!(verdict, IsolationVerdict::Breached, "{sentence}");
}

#[test]
fn silence_everywhere_proves_nothing() {
    let (verdict, sentence, _) = check(|_, _| json!({ "outcome": "silent" }));
    assert_eq!(verdict, IsolationVerdict::Inconclusive);
    assert!(sentence.starts_with("nothing is proven"), "{sentence}");
    let failed = json!({ "outcome": "failed", "error": "no socket" });
    let (verdict, ..) = check(|is_own, attempt| {
        let is_across = !is_own && attempt["try"] == "udp";
        if is_across { failed.clone() } else { apart(is_own, attempt) }
    });
    assert_eq!(verdict, IsolationVerdict::Inconclusive, "what was not tried is not proven");
    // A name of one's own that stands for somebody else.
    let (verdict, ..) = check(|is_own, attempt| {
        let is_own_name = is_own && attempt["try"] == "name";
        let elsewhere = json!({ "outcome": "resolved", "addresses": ["10.64.9.9"] });
        if is_own_name { elsewhere } else { apart(is_own, attempt) }
    });
    assert_eq!(verdict, IsolationVerdict::Inconclusive);
}

#[test]
fn a_plan_is_written_as_the_probe_reads_it() {
    let nodes = vec![Neighbour { name: "node-2".into(), address: NODE }];
    let targets = Targets { listeners: vec![listener(0)], nodes };
    let plan = serde_json::to_value(attempts(&targets, 0)).unwrap();
    assert_eq!(
        plan[0],
        json!({ "id": 0, "own": true, "try": "tcp", "address": "10.64.0.2", "port": 4242 })
    );
    assert_eq!(
        plan[1],
        json!({ "id": 1, "own": true, "try": "udp", "address": "10.64.0.2", "port": 4242 })
    );
    assert_eq!(plan[2], json!({ "id": 2, "own": true, "try": "icmp", "address": "10.64.0.2" }));
    assert_eq!(plan[3], json!({ "id": 3, "own": true, "try": "name", "name": "listener-0" }));
    assert_eq!(plan[4], json!({ "id": 4, "own": false, "try": "icmp", "address": null }));
    assert_eq!(
        plan[5],
        json!({ "id": 5, "own": false, "try": "tcp", "address": null, "port": 22 })
    );
    let first_of_node = 5 + PORTS.len();
    let expected = json!({ "id": first_of_node, "own": false, "try": "tcp", "address": "192.0.2.7", "port": 22 });
    assert_eq!(plan[first_of_node], expected);
}

#[test]
fn the_largest_check_is_told_in_the_lines_that_are_read() {
    let node = || Neighbour { name: "node".into(), address: NODE };
    let listener = |environment| Listener {
        names: vec!["name".into(), "tasks.name".into(), "alias".into()],
        ..listener(environment)
    };
    let targets = Targets {
        listeners: (0..MOST * super::super::NODES).map(|place| listener(place % MOST)).collect(),
        nodes: (0..super::super::NEIGHBOURS).map(|_| node()).collect(),
    };
    assert!(attempts(&targets, 0).len() <= crate::swarm::LOG_LINES);
}
