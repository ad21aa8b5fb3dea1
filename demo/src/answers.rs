//! What the API answers, as far as the story needs it. Ids and words are `model`'s types, so an
//! answer in another spelling is noticed where it is read.

use chrono::{DateTime, Utc};
use model::app_status::Health;
use model::deployment::Kind;
use model::id::{AppId, DeploymentId, EnvironmentId, OrganizationId, ReleaseId};
use model::reason::Reason;
use model::status::Status;
use serde::Deserialize;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_cursor: Option<String>,
}

/// A tenant.
#[derive(Debug, Deserialize)]
pub(crate) struct Organization {
    pub(crate) id: OrganizationId,
}

/// A token that was just made.
#[derive(Deserialize)]
pub(crate) struct Token {
    pub(crate) secret: String,
}

/// An isolated place inside an organization.
#[derive(Debug, Deserialize)]
pub(crate) struct Environment {
    pub(crate) id: EnvironmentId,
    pub(crate) network: Network,
}

/// The network of an environment.
#[derive(Debug, Deserialize)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) subnet: ipnet::IpNet,
}

/// An app.
#[derive(Debug, Deserialize)]
pub(crate) struct App {
    pub(crate) id: AppId,
    pub(crate) slug: String,
    pub(crate) spec: Spec,
    pub(crate) live: Option<Live>,
    pub(crate) status: Option<AppStatus>,
    pub(crate) removal_requested_at: Option<DateTime<Utc>>,
}

/// What of a spec the story needs.
#[derive(Debug, Deserialize)]
pub(crate) struct Spec {
    pub(crate) labels: std::collections::BTreeMap<String, String>,
}

/// What the last verdict left running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Live {
    pub(crate) release: i32,
    pub(crate) replicas: i32,
}

/// An app as a worker saw it last.
#[derive(Debug, Deserialize)]
pub(crate) struct AppStatus {
    pub(crate) health: Health,
    pub(crate) release: Option<i32>,
    pub(crate) running: i32,
}

/// An immutable snapshot of an app.
#[derive(Debug, Deserialize)]
pub(crate) struct Release {
    pub(crate) id: ReleaseId,
    pub(crate) image: String,
    pub(crate) resolved_image: Option<String>,
}

/// One attempt to change what runs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) id: DeploymentId,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) release: Option<i32>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// Lists do not have it.
    #[serde(default)]
    pub(crate) evidence: Option<Evidence>,
}

/// What was seen when a deployment went wrong.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) stage: String,
    pub(crate) tasks: Vec<Task>,
    pub(crate) log: Vec<String>,
    pub(crate) update_status: Option<String>,
}

/// A task in the evidence.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Task {
    pub(crate) slot: i64,
    pub(crate) state: String,
    pub(crate) error: Option<String>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) health: Option<String>,
}

/// Problem details.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) violations: Vec<Violation>,
}

/// A broken rule.
#[derive(Debug, Deserialize)]
pub(crate) struct Violation {
    pub(crate) field: String,
    pub(crate) rule: String,
}

impl Deployment {
    /// From the request to the end.
    pub(crate) fn seconds(&self) -> Option<f64> {
        let took = self.finished_at? - self.created_at;
        Some(took.as_seconds_f64())
    }
}
