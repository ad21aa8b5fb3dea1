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
    #[serde(flatten)]
    what: What,
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

/// The attempts of a prober: towards every listener, for every name, and at its node. What they mean follows from
/// their order, which [`findings`] goes through again.
pub(super) fn attempts(listeners: &[Listener]) -> Vec<Attempt> {
    let mut whats = Vec::new();
    for listener in listeners {
        let address = listener.address;
        whats.push(What::Tcp { address: Some(address), port: PORT });
        whats.push(What::Udp { address, port: PORT });
        whats.push(What::Icmp { address: Some(address) });
        whats.extend(listener.names.iter().map(|name| What::Name { name: name.clone() }));
    }
    whats.push(What::Icmp { address: None });
    whats.extend(PORTS.iter().map(|port| What::Tcp { address: None, port: *port }));
    (0..).zip(whats).map(|(id, what)| Attempt { id, what }).collect()
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

    fn target(&self) -> String {
        match self {
            Self::Tcp { address: Some(address), port } | Self::Udp { address, port } => {
                format!("{address}:{port}")
            }
            Self::Tcp { address: None, port } => format!("the gateway:{port}"),
            Self::Icmp { address: Some(address) } => address.to_string(),
            Self::Icmp { address: None } => "the gateway".to_owned(),
            Self::Name { name } => name.clone(),
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
    listeners: &[Listener],
    environments: &[String],
    told: &[Told],
) -> Vec<Finding> {
    let name = |place: usize| environments.get(place).cloned().unwrap_or_default();
    // Whom each attempt was meant for, in the order in which they were planned.
    let mut meant: Vec<Option<&Listener>> = Vec::new();
    for listener in listeners {
        meant.extend((0..3 + listener.names.len()).map(|_| Some(listener)));
    }
    let meant = meant.into_iter().chain(std::iter::repeat(None));
    let attempts = attempts(listeners);
    attempts
        .iter()
        .zip(meant)
        .map(|(attempt, listener)| {
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
                target: attempt.what.target(),
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
