//! Apps as requests and answers have them.

use chrono::{DateTime, Utc};
use db::apps::{AppRow, AppSummary};
use model::app_status::{AppStatus, Health};
use model::evidence::TaskRecord;
use poem_openapi::Object;
use serde::Serialize;
use serde_with::serde_as;
use validator::{Validate, ValidationErrors};

use crate::spec::AppSpec;
use crate::word::Word;
use crate::written::Rfc3339;

/// A new app: its slug, its replicas, and the fields of its spec.
#[derive(Debug, Object)]
pub(crate) struct AppCreate {
    /// Its DNS name inside the environment's network.
    #[oai(validator(
        min_length = 1,
        max_length = 40,
        pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
    ))]
    pub(crate) slug: String,
    /// How many replicas run.
    #[oai(default = "default_replicas", validator(minimum(value = "0"), maximum(value = "100")))]
    pub(crate) replicas: i32,
    #[oai(flatten)]
    /// How it runs.
    pub(crate) spec: AppSpec,
}

/// What of an app can be changed: its replicas and the fields of its spec.
#[derive(Debug, Object)]
pub(crate) struct AppUpdate {
    /// How many replicas the next deployment runs.
    #[oai(default = "default_replicas", validator(minimum(value = "0"), maximum(value = "100")))]
    pub(crate) replicas: i32,
    #[oai(flatten)]
    /// How it runs.
    pub(crate) spec: AppSpec,
}

fn default_replicas() -> i32 {
    1
}

impl Validate for AppCreate {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.spec.validate()
    }
}

impl Validate for AppUpdate {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.spec.validate()
    }
}

/// An app.
#[serde_as]
#[derive(Debug, Object, Serialize)]
#[oai(rename = "App")]
pub(crate) struct AppObject {
    /// Its id (`app_…`).
    id: String,
    /// Its DNS name inside the environment's network.
    slug: String,
    /// Slug of its environment.
    environment: String,
    /// What its next release will be.
    spec: AppSpec,
    /// Replicas that should run.
    replicas: i32,
    /// What the last verdict left running; `null`: nothing yet.
    live: Option<Live>,
    /// What was seen running last; `null`: nothing was, yet.
    status: Option<AppStatusObject>,
    /// Since when it is stopped: kept at no replicas until it is started again.
    #[serde_as(as = "Option<Rfc3339>")]
    stopped_at: Option<DateTime<Utc>>,
    /// When its removal was accepted.
    #[serde_as(as = "Option<Rfc3339>")]
    removal_requested_at: Option<DateTime<Utc>>,
    /// When it was made.
    #[serde_as(as = "Rfc3339")]
    created_at: DateTime<Utc>,
    /// When it was changed last.
    #[serde_as(as = "Rfc3339")]
    updated_at: DateTime<Utc>,
}

/// An app as the list of its environment shows it: without its whole spec and its tasks, which a GET of the app has.
#[serde_as]
#[derive(Debug, Object, Serialize)]
#[oai(rename = "AppSummary")]
pub(crate) struct AppSummaryObject {
    /// Its id (`app_…`).
    id: String,
    /// Its DNS name inside the environment's network.
    slug: String,
    /// Image of its next release.
    image: String,
    /// Replicas that should run.
    replicas: i32,
    /// What the last verdict left running; `null`: nothing yet.
    live: Option<Live>,
    /// What was seen running last; `null`: nothing was, yet.
    status: Option<AppStatusSummaryObject>,
    /// Since when it is stopped: kept at no replicas until it is started again.
    #[serde_as(as = "Option<Rfc3339>")]
    stopped_at: Option<DateTime<Utc>>,
    /// When its removal was accepted.
    #[serde_as(as = "Option<Rfc3339>")]
    removal_requested_at: Option<DateTime<Utc>>,
    /// When it was made.
    #[serde_as(as = "Rfc3339")]
    created_at: DateTime<Utc>,
    /// When it was changed last.
    #[serde_as(as = "Rfc3339")]
    updated_at: DateTime<Utc>,
}

/// How an app did when it was seen last.
#[serde_as]
#[derive(Debug, Object, Serialize)]
#[oai(rename = "AppStatusSummary")]
pub(crate) struct AppStatusSummaryObject {
    /// How it does.
    health: Word<Health>,
    /// Why it does not do better.
    cause: Option<String>,
    /// Replicas that should run.
    desired: i32,
    /// Replicas that run, healthy where they have a health check.
    running: i32,
    /// Number of the release that the service carries.
    release: Option<i32>,
    /// Since when it does so.
    #[serde_as(as = "Rfc3339")]
    since: DateTime<Utc>,
    /// When it was looked at last.
    #[serde_as(as = "Rfc3339")]
    observed_at: DateTime<Utc>,
}

/// What the last verdict left running.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Live {
    /// Number of the release.
    release: i32,
    /// The replicas that it was verified with.
    replicas: i32,
}

/// An app as it was seen last.
#[serde_as]
#[derive(Debug, Object, Serialize)]
#[oai(rename = "AppStatus")]
pub(crate) struct AppStatusObject {
    /// How it does.
    health: Word<Health>,
    /// Why it does not do better.
    cause: Option<String>,
    /// Replicas that should run.
    desired: i32,
    /// Replicas that run, healthy where they have a health check.
    running: i32,
    /// Number of the release that the service carries.
    release: Option<i32>,
    /// The tasks that should run.
    tasks: Vec<TaskObject>,
    /// Since when it does so.
    #[serde_as(as = "Rfc3339")]
    since: DateTime<Utc>,
    /// When it was looked at last.
    #[serde_as(as = "Rfc3339")]
    observed_at: DateTime<Utc>,
}

/// One task as Swarm told of it.
#[serde_as]
#[derive(Debug, Object, Serialize)]
#[oai(rename = "Task")]
pub(crate) struct TaskObject {
    /// Swarm's id of the task.
    id: String,
    /// Its slot: the place of a replica that tasks follow each other in.
    slot: i64,
    /// The node that it was given.
    node: Option<String>,
    /// Its address on its environment's network: known, in live status, of a task that runs where its node's Docker is reached.
    address: Option<String>,
    /// Swarm's state.
    state: String,
    /// The state that Swarm wants it in.
    desired_state: String,
    /// Swarm's error.
    error: Option<String>,
    /// Exit code of its process.
    exit_code: Option<i64>,
    /// When it ended, by its node's clock.
    #[serde_as(as = "Option<Rfc3339>")]
    ended_at: Option<DateTime<Utc>>,
    /// Whether the kernel killed it at its memory limit: known, in evidence, of the task whose
    /// container was looked at.
    out_of_memory: bool,
    /// Last output of its health check.
    health: Option<String>,
}

impl From<TaskRecord> for TaskObject {
    fn from(task: TaskRecord) -> Self {
        Self {
            id: task.id,
            slot: task.slot,
            node: task.node,
            address: task.address.map(|address| address.to_string()),
            state: task.state,
            desired_state: task.desired_state,
            error: task.error,
            exit_code: task.exit_code,
            ended_at: task.ended_at,
            out_of_memory: task.out_of_memory,
            health: task.health,
        }
    }
}

impl Live {
    fn of(release: Option<i32>, replicas: Option<i32>) -> Option<Self> {
        release.map(|release| Self { release, replicas: replicas.unwrap_or_default() })
    }
}

impl AppStatusObject {
    fn of(status: AppStatus, release: Option<i32>) -> Self {
        Self {
            health: Word(status.health),
            cause: status.cause,
            desired: status.desired,
            running: status.running,
            release,
            tasks: status.tasks.0.into_iter().map(TaskObject::from).collect(),
            since: status.since,
            observed_at: status.observed_at,
        }
    }
}

impl From<AppRow> for AppObject {
    fn from(row: AppRow) -> Self {
        let AppRow { app, environment, live_release, status, seen_release } = row;
        let live = Live::of(live_release, app.live_replicas);
        Self {
            id: app.id.to_string(),
            slug: app.slug,
            environment,
            spec: app.spec.0.into(),
            replicas: app.replicas,
            live,
            status: status.map(|status| AppStatusObject::of(status, seen_release)),
            stopped_at: app.stopped_at,
            removal_requested_at: app.removal_requested_at,
            created_at: app.created_at,
            updated_at: app.updated_at,
        }
    }
}

impl From<AppSummary> for AppSummaryObject {
    fn from(row: AppSummary) -> Self {
        Self {
            id: row.id.to_string(),
            slug: row.slug,
            image: row.image,
            replicas: row.replicas,
            live: Live::of(row.live_release, row.live_replicas),
            status: row.status.map(|status| AppStatusSummaryObject {
                health: Word(status.health),
                cause: status.cause,
                desired: status.desired,
                running: status.running,
                release: status.seen_release,
                since: status.since,
                observed_at: status.observed_at,
            }),
            stopped_at: row.stopped_at,
            removal_requested_at: row.removal_requested_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn app(status: Option<AppStatusObject>) -> AppObject {
        let at = time("2026-11-22T01:02:03.000456Z");
        let is_full = status.is_some();
        AppObject {
            id: "app_1".into(),
            slug: "web".into(),
            environment: "production".into(),
            spec: model::spec::AppSpec::of_image("web:v1").into(),
            replicas: 2,
            live: is_full.then_some(Live { release: 3, replicas: 2 }),
            status,
            stopped_at: is_full.then_some(at),
            removal_requested_at: is_full.then(|| time("2026-11-22T01:02:03Z")),
            created_at: time("2026-11-22T01:02:03.5Z"),
            updated_at: at,
        }
    }

    #[test]
    fn straight_it_is_what_poem_openapi_writes() {
        let task = |is_full: bool| TaskObject {
            id: "t".into(),
            slot: 1,
            node: is_full.then(|| "n".into()),
            address: is_full.then(|| "10.64.0.5".into()),
            state: "running".into(),
            desired_state: "running".into(),
            error: is_full.then(|| "e \"\n".into()),
            exit_code: is_full.then_some(137),
            ended_at: is_full.then(|| time("2026-11-22T01:02:03.123Z")),
            out_of_memory: is_full,
            health: is_full.then(|| "ok".into()),
        };
        let status = |is_full: bool| AppStatusObject {
            health: Word(Health::Degraded),
            cause: is_full.then(|| "why".into()),
            desired: 2,
            running: 1,
            release: is_full.then_some(3),
            tasks: vec![task(true), task(false)],
            since: time("2026-11-22T00:00:00Z"),
            observed_at: time("2026-11-22T00:00:01Z"),
        };
        for app in [app(None), app(Some(status(false))), app(Some(status(true)))] {
            assert_eq!(serde_json::to_value(&app).unwrap(), app.to_json().unwrap());
        }
    }

    #[test]
    fn so_is_a_summary() {
        let at = time("2026-11-22T01:02:03.000456Z");
        let summary = |is_full: bool| AppSummaryObject {
            id: "app_1".into(),
            slug: "web".into(),
            image: "web:v1".into(),
            replicas: 2,
            live: is_full.then_some(Live { release: 3, replicas: 2 }),
            status: is_full.then(|| AppStatusSummaryObject {
                health: Word(Health::Degraded),
                cause: Some("why".into()),
                desired: 2,
                running: 1,
                release: None,
                since: at,
                observed_at: at,
            }),
            stopped_at: is_full.then_some(at),
            removal_requested_at: is_full.then_some(at),
            created_at: at,
            updated_at: at,
        };
        for summary in [summary(false), summary(true)] {
            assert_eq!(serde_json::to_value(&summary).unwrap(), summary.to_json().unwrap());
        }
    }
}
