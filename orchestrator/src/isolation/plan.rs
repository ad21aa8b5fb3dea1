//! The plan of a check, and what its findings mean. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use model::isolation_check::{Expectation, Finding, IsolationVerdict};
use serde::{Deserialize, Serialize};

/// The port that listeners answer on (`isolation-probe/src/attempt.rs`).
const PORT: u16 = 4242;

/// Ports that a node may have open towards its containers: SSH, HTTP, Docker and Swarm, Postgres, RabbitMQ, Skep's own.
const PORTS: &[u16] = &[22, 80, 443, 2375, 2376, 2377, 5432, 5672, 7946, 8080, 9100, 15672];

/// A task that answers on an environment's network.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    /// The environment, by its place in the check.
    pub(super) environment: usize,
    /// Its address there.
    pub(super) address: Ipv4Addr,
    /// Its names there, which no other listener has.
    pub(super) names: Vec<String>,
}

/// A node of the swarm, at its own address.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    /// What it calls itself.
    pub(super) name: String,
    /// The address.
    pub(super) address: Ipv4Addr,
}

/// Whom a check tries to reach.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    /// Tasks on the environments' networks.
    pub(super) listeners: Vec<Listener>,
    /// Nodes, beside the prober's own gateway.
    pub(super) nodes: Vec<Neighbour>,
}

/// Where attempts are made from: a task on an environment's network, on one node.
#[derive(Debug, Clone)]
pub(super) struct Prober {
    /// The environment, by its place in the check.
    pub(super) environment: usize,
    /// The node, for people.
    pub(super) node: String,
}

/// What to try, as the probe reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Attempt {
    id: u32,
    /// Whether it is meant for somebody on the prober's own network.
    own: bool,
    #[serde(flatten)]
    what: What,
    /// Whom it is meant for.
    #[serde(skip)]
    meant: Meant,
}

/// Whom an attempt is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meant {
    /// A listener, by its place among the targets.
    Listener(usize),
    /// The prober's own node, by its gateway.
    Gateway,
    /// A node at its own address, by its name.
    Node(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "try", rename_all = "snake_case")]
enum What {
    Tcp { address: Option<Ipv4Addr>, port: u16 },
    Udp { address: Ipv4Addr, port: u16 },
    Icmp { address: Option<Ipv4Addr> },
    Name { name: String },
}

/// What came of an attempt, as the probe writes it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Told {
    id: u32,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Answered,
    Refused,
    Silent,
    Resolved { addresses: Vec<Ipv4Addr> },
    Unknown,
    NoWay,
    Failed { error: String },
}

/// The attempts of a prober in an environment: towards every listener, for every name, and at the nodes.
pub(super) fn attempts(targets: &Targets, environment: usize) -> Vec<Attempt> {
    let mut planned = Vec::new();
    for (place, listener) in targets.listeners.iter().enumerate() {
        let address = listener.address;
        let mut plan = |what| planned.push((what, Meant::Listener(place)));
        plan(What::Tcp { address: Some(address), port: PORT });
        plan(What::Udp { address, port: PORT });
        plan(What::Icmp { address: Some(address) });
        for name in &listener.names {
            plan(What::Name { name: name.clone() });
        }
    }
    planned.push((What::Icmp { address: None }, Meant::Gateway));
    let at = |address| PORTS.iter().map(move |port| What::Tcp { address, port: *port });
    planned.extend(at(None).map(|what| (what, Meant::Gateway)));
    for node in &targets.nodes {
        let meant = || Meant::Node(node.name.clone());
        planned.extend(at(Some(node.address)).map(|what| (what, meant())));
    }
    let is_own = |meant: &Meant| match meant {
        Meant::Listener(place) => targets
            .listeners
            .get(*place)
            .is_some_and(|listener| listener.environment == environment),
        Meant::Gateway | Meant::Node(_) => false,
    };
    let numbered = (0..).zip(planned);
    numbered.map(|(id, (what, meant))| Attempt { id, own: is_own(&meant), what, meant }).collect()
}

impl What {
    fn probe(&self) -> &'static str {
        match self {
            Self::Tcp { .. } => "tcp",
            Self::Udp { .. } => "udp",
            Self::Icmp { .. } => "icmp",
            Self::Name { .. } => "name",
        }
    }

    const fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { port, .. } | Self::Udp { port, .. } => Some(*port),
            Self::Icmp { .. } | Self::Name { .. } => None,
        }
    }
}

impl Attempt {
    /// What was tried to be reached, for people.
    fn target(&self) -> String {
        let of_node = |name: &str| match self.what.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        match (&self.meant, &self.what) {
            (Meant::Gateway, _) => of_node("the gateway"),
            (Meant::Node(name), _) => of_node(name),
            (Meant::Listener(_), What::Tcp { address: Some(address), port }) => {
                format!("{address}:{port}")
            }
            (Meant::Listener(_), What::Udp { address, port }) => format!("{address}:{port}"),
            (Meant::Listener(_), What::Icmp { address: Some(address) }) => address.to_string(),
            (Meant::Listener(_), What::Name { name }) => name.clone(),
            (
                Meant::Listener(_),
                What::Tcp { address: None, .. } | What::Icmp { address: None },
            ) => of_node("the gateway"),
        }
    }
}

/// Whether somebody there heard it: who refuses has heard, too.
const fn is_heard(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Answered | Outcome::Refused | Outcome::Resolved { .. })
}

fn in_words(outcome: Option<&Outcome>) -> String {
    match outcome {
        Some(Outcome::Answered) => "answered".into(),
        Some(Outcome::Refused) => "refused".into(),
        Some(Outcome::Silent) => "silent".into(),
        Some(Outcome::Resolved { addresses }) => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("resolved to {}", addresses.join(", "))
        }
        Some(Outcome::Unknown) => "unknown".into(),
        Some(Outcome::NoWay) => "no way there".into(),
        Some(Outcome::Failed { error }) => format!("not tried: {error}"),
        None => "not told".into(),
    }
}

/// What a prober's attempts found.
pub(super) fn findings(
    prober: &Prober,
    targets: &Targets,
    environments: &[String],
    told: &[Told],
) -> Vec<Finding> {
    let name = |place: usize| environments.get(place).cloned().unwrap_or_default();
    attempts(targets, prober.environment)
        .iter()
        .map(|attempt| {
            let listener = match attempt.meant {
                Meant::Listener(place) => targets.listeners.get(place),
                Meant::Gateway | Meant::Node(_) => None,
            };
            let outcome = told.iter().find(|told| told.id == attempt.id).map(|told| &told.outcome);
            let (expected, as_expected) = match (listener, outcome) {
                (None, _) => (Expectation::Nothing, true),
                (Some(listener), outcome) if listener.environment == prober.environment => {
                    (Expectation::Answer, answers(outcome, listener))
                }
                (Some(_), Some(Outcome::Failed { .. }) | None) => (Expectation::Silence, false),
                (Some(_), Some(outcome)) => (Expectation::Silence, !is_heard(outcome)),
            };
            Finding {
                from: name(prober.environment),
                node: prober.node.clone(),
                to: listener.map(|listener| name(listener.environment)),
                probe: attempt.what.probe().into(),
                target: attempt.target(),
                expected,
                outcome: in_words(outcome),
                as_expected,
            }
        })
        .collect()
}

/// Whether this is what one's own listener says.
fn answers(outcome: Option<&Outcome>, listener: &Listener) -> bool {
    match outcome {
        Some(Outcome::Answered) => true,
        Some(Outcome::Resolved { addresses }) => addresses == &[listener.address],
        _ => false,
    }
}

/// What all findings mean, in a word and a sentence.
pub(super) fn verdict(findings: &[Finding]) -> (IsolationVerdict, String) {
    let of =
        |expected: Expectation| findings.iter().filter(move |finding| finding.expected == expected);
    let got_across: Vec<&Finding> = of(Expectation::Silence)
        .filter(|finding| !finding.as_expected && heard_in_words(&finding.outcome))
        .collect();
    let (across, inside) = (of(Expectation::Silence).count(), of(Expectation::Answer).count());
    if let Some(first) = got_across.first() {
        let sentence = format!(
            "{} of {across} attempts got across: from {} on {} by {} to {} of {} ({})",
            got_across.len(),
            first.from,
            first.node,
            first.probe,
            first.target,
            first.to.as_deref().unwrap_or("nobody"),
            first.outcome
        );
        return (IsolationVerdict::Breached, sentence);
    }
    let exposed: BTreeSet<&str> = of(Expectation::Nothing)
        .filter(|finding| finding.outcome == "answered")
        .map(|finding| finding.target.as_str())
        .collect();
    let exposed = if exposed.is_empty() {
        "nothing of their nodes was reached".to_owned()
    } else {
        let exposed: Vec<&str> = exposed.into_iter().collect();
        format!("of their nodes {} was reached", exposed.join(", "))
    };
    let unproven = findings.iter().find(|finding| !finding.as_expected);
    match unproven {
        Some(missed) => {
            let sentence = format!(
                "nothing is proven: from {} on {} by {} to {} of {}: {}; none of {across} attempts is known to have got \
                 across; {exposed}",
                missed.from,
                missed.node,
                missed.probe,
                missed.target,
                missed.to.as_deref().unwrap_or("nobody"),
                missed.outcome
            );
            (IsolationVerdict::Inconclusive, sentence)
        }
        None => {
            let sentence = format!(
                "none of {across} attempts got across, and all {inside} inside were answered; {exposed}"
            );
            (IsolationVerdict::Isolated, sentence)
        }
    }
}

fn heard_in_words(outcome: &str) -> bool {
    outcome == "answered" || outcome == "refused" || outcome.starts_with("resolved")
}

#[cfg(test)]
mod tests;
