//! Isolation checks: probes that run as tasks on environments' networks and try to reach each other, and what they found.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::id::{EnvironmentId, IsolationCheckId, TokenId};
use crate::schema::isolation_checks;
use crate::stored::Stored;
use crate::text_enum::text_enum;

/// Fewest environments of a check.
pub const FEWEST: usize = 2;
/// Most: each is tried with each other, on two nodes.
pub const MOST: usize = 4;

text_enum! {
    /// How far a check is.
    pub enum CheckStatus {
        /// No worker has taken it up.
        Queued => "queued",
        /// Its probes run.
        Running => "running",
        /// It has a verdict.
        Ended => "ended",
    }
}

text_enum! {
    /// What a check came to.
    pub enum IsolationVerdict {
        /// Nothing got across, and everything inside did: the probes could have told.
        Isolated => "isolated",
        /// Something got across.
        Breached => "breached",
        /// Nothing got across, and not everything inside did either, or the probes did not run: nothing is proven.
        Inconclusive => "inconclusive",
    }
}

text_enum! {
    /// What was expected of an attempt.
    pub enum Expectation {
        /// An answer: it stays inside one network.
        Answer => "answer",
        /// Silence: it goes across.
        Silence => "silence",
        /// Nothing: it is reported what a container reaches of its node.
        Nothing => "nothing",
    }
}

/// What one attempt found: the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Environment that it was tried from, as `organization/environment`.
    pub from: String,
    /// Node that it was tried on.
    pub node: String,
    /// Environment that it was tried towards; `None`: the node itself.
    pub to: Option<String>,
    /// `tcp`, `udp`, `icmp` or `name`.
    pub probe: String,
    /// What was tried to be reached: an address, with a port, or a name.
    pub target: String,
    /// What was expected.
    pub expected: Expectation,
    /// What came of it, in a word or two.
    pub outcome: String,
    /// Whether that is what was expected.
    pub as_expected: bool,
}

/// A check's row.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable, Identifiable)]
#[diesel(table_name = isolation_checks)]
pub struct IsolationCheck {
    /// Its id.
    pub id: IsolationCheckId,
    /// How far it is.
    pub status: CheckStatus,
    /// The environments, each tried with each other.
    pub environments: Vec<EnvironmentId>,
    /// How often a worker has taken it up.
    pub tries: i32,
    /// The token that asked for it; `None`: the platform itself did.
    pub requested_by: Option<TokenId>,
    /// What it came to.
    pub verdict: Option<IsolationVerdict>,
    /// The same in a sentence.
    pub sentence: Option<String>,
    /// What each attempt found.
    pub findings: Option<Stored<Vec<Finding>>>,
    /// When its probes were started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}
