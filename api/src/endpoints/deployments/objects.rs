//! Deployments as requests and answers have them.

use chrono::{DateTime, Utc};
use db::deployments::{DeploymentDetail, DeploymentRequest, DeploymentRow};
use model::deployment::{DeploymentEvent, Kind};
use model::evidence::{Evidence, UpdateStatusRecord};
use model::reason::ReasonCode;
use model::release::RollbackTarget;
use model::status::Status;
use poem_openapi::Object;
use validator::{Validate, ValidationErrors};

use super::release_named::ReleaseNamed;
use crate::endpoints::apps::TaskObject;
use crate::spec::rule;
use crate::word::Word;

/// A new deployment.
#[derive(Debug, Object)]
pub(crate) struct DeploymentCreate {
    /// Becomes the app's image first.
    #[oai(validator(
        max_length = 255,
        pattern = r"^(((localhost|[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+)(:[0-9]+)?|[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?:[0-9]+)/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*|[a-z0-9]+((_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+|[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[a-f0-9]{64})?|@sha256:[a-f0-9]{64})$"
    ))]
    image: Option<String>,
    /// Number of an older release to make live instead of a new one. Not together with `image`.
    #[oai(validator(minimum(value = "1")))]
    release: Option<i32>,
    /// Restarts the tasks even where nothing changed.
    #[oai(default)]
    force: bool,
}

impl Validate for DeploymentCreate {
    fn validate(&self) -> Result<(), ValidationErrors> {
        if self.image.is_none() || self.release.is_none() {
            return Ok(());
        }
        let mut broken = ValidationErrors::new();
        broken.add("release", rule("not together with image: a release has its own image"));
        Err(broken)
    }
}

impl From<DeploymentCreate> for DeploymentRequest {
    fn from(create: DeploymentCreate) -> Self {
        let DeploymentCreate { image, release, force } = create;
        match release {
            Some(release) => Self::Rollback { target: RollbackTarget::Number(release), force },
            None => Self::Deploy { image, force },
        }
    }
}

/// A rollback.
#[derive(Debug, Object, Validate)]
pub(crate) struct RollbackCreate {
    /// Number of the release, `previous` (the one that was live before) or `stable` (the newest other
    /// one that was ever live and healthy).
    #[oai(default)]
    release: ReleaseNamed,
    /// Takes the release even where it is what is live, and restarts its tasks then.
    #[oai(default)]
    force: bool,
}

impl From<RollbackCreate> for DeploymentRequest {
    fn from(create: RollbackCreate) -> Self {
        Self::Rollback { target: create.release.0, force: create.force }
    }
}

/// Another number of replicas.
#[derive(Debug, Object, Validate)]
pub(crate) struct ScaleCreate {
    /// How many replicas run.
    #[oai(validator(minimum(value = "0"), maximum(value = "100")))]
    replicas: i32,
}

impl From<ScaleCreate> for DeploymentRequest {
    fn from(create: ScaleCreate) -> Self {
        Self::Scale { replicas: create.replicas }
    }
}

/// One attempt to change what runs.
#[derive(Debug, Object)]
#[oai(rename = "Deployment")]
pub(crate) struct DeploymentObject {
    /// Its id (`dep_…`).
    id: String,
    /// Id of its app (`app_…`).
    app: String,
    /// What it attempts.
    kind: Word<Kind>,
    /// How far it is.
    status: Word<Status>,
    /// Why it ended so, or is being rolled back; `null` before.
    reason: Option<ReasonObject>,
    /// Number of the release that it makes live; `null` for a removal.
    release: Option<i32>,
    /// Replicas that should run.
    replicas: i32,
    /// Whether tasks are restarted even where nothing changed.
    force: bool,
    /// Id of the token that asked for it (`tok_…`); `null`: the platform itself, by a repair,
    /// at the end of the organization, or because the app's disk is full.
    requested_by: Option<String>,
    /// Id of the newer deployment that asked this one to end.
    superseded_by: Option<String>,
    /// When its owner asked it to end.
    cancel_requested_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// When a worker took it up.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

/// Why a deployment ended as it did.
#[derive(Debug, Object)]
#[oai(rename = "Reason")]
pub(crate) struct ReasonObject {
    /// For programs.
    code: Word<ReasonCode>,
    /// For people.
    sentence: String,
}

impl From<DeploymentRow> for DeploymentObject {
    fn from(DeploymentRow { deployment, release }: DeploymentRow) -> Self {
        let reason = deployment.reason_code.map(|code| ReasonObject {
            code: Word(code),
            sentence: deployment.reason.unwrap_or_default(),
        });
        Self {
            id: deployment.id.to_string(),
            app: deployment.app_id.to_string(),
            kind: Word(deployment.kind),
            status: Word(deployment.status),
            reason,
            release,
            replicas: deployment.replicas,
            force: deployment.force,
            requested_by: deployment.requested_by.map(|token| token.to_string()),
            superseded_by: deployment.superseded_by.map(|id| id.to_string()),
            cancel_requested_at: deployment.cancel_requested_at,
            created_at: deployment.created_at,
            started_at: deployment.started_at,
            finished_at: deployment.finished_at,
        }
    }
}

/// A deployment with its timeline and evidence.
#[derive(Debug, Object)]
#[oai(rename = "DeploymentDetail")]
pub(crate) struct DeploymentDetailObject {
    #[oai(flatten)]
    deployment: DeploymentObject,
    /// What happened, oldest first.
    timeline: Vec<TimelineEntry>,
    /// What was seen in Swarm when it went wrong; `null` where nothing did.
    evidence: Option<EvidenceObject>,
}

/// One line of a timeline.
#[derive(Debug, Object)]
pub(crate) struct TimelineEntry {
    /// The status that was reached.
    status: Word<Status>,
    /// What happened.
    message: String,
    /// When.
    at: DateTime<Utc>,
}

/// What proves a verdict.
#[derive(Debug, Object)]
#[oai(rename = "Evidence")]
pub(crate) struct EvidenceObject {
    /// The stage in which it went wrong.
    stage: String,
    /// The tasks that failed, newest first, then those that should run.
    tasks: Vec<TaskObject>,
    /// The last log lines of the task that failed, oldest first.
    log: Vec<String>,
    /// Swarm's own word on the update, when it went wrong.
    update_status: Option<String>,
    /// What Swarm's word on the update was, one after the other, until the deployment's end. Begins
    /// anew where another worker takes over from one that died.
    update_statuses: Vec<UpdateStatusObject>,
    /// When it was written last: tasks and log as it went wrong, `update_statuses` at the end.
    observed_at: DateTime<Utc>,
}

/// One change of Swarm's UpdateStatus.
#[derive(Debug, Object)]
#[oai(rename = "UpdateStatus")]
pub(crate) struct UpdateStatusObject {
    /// Swarm's word: `updating`, `paused`, `completed`, `rollback_started`, `rollback_paused` or
    /// `rollback_completed`.
    state: String,
    /// Swarm's message.
    message: String,
    /// When it was first seen so.
    seen_at: DateTime<Utc>,
}

impl From<DeploymentEvent> for TimelineEntry {
    fn from(event: DeploymentEvent) -> Self {
        Self { status: Word(event.status), message: event.message, at: event.created_at }
    }
}

impl From<(Evidence, DateTime<Utc>)> for EvidenceObject {
    fn from((evidence, observed_at): (Evidence, DateTime<Utc>)) -> Self {
        Self {
            stage: evidence.stage,
            tasks: evidence.tasks.into_iter().map(TaskObject::from).collect(),
            log: evidence.log,
            update_status: evidence.update_status,
            update_statuses: evidence.update_statuses.into_iter().map(Into::into).collect(),
            observed_at,
        }
    }
}

impl From<UpdateStatusRecord> for UpdateStatusObject {
    fn from(record: UpdateStatusRecord) -> Self {
        Self { state: record.state, message: record.message, seen_at: record.seen_at }
    }
}

impl From<DeploymentDetail> for DeploymentDetailObject {
    fn from(detail: DeploymentDetail) -> Self {
        Self {
            deployment: detail.row.into(),
            timeline: detail.events.into_iter().map(TimelineEntry::from).collect(),
            evidence: detail.evidence.map(EvidenceObject::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::body::read;

    fn request(body: Value) -> Result<DeploymentRequest, model::Error> {
        read::<DeploymentCreate>(body).map(DeploymentRequest::from)
    }

    #[test]
    fn a_deployment_is_of_an_image_or_of_a_release() {
        assert_eq!(
            request(json!({})).ok(),
            Some(DeploymentRequest::Deploy { image: None, force: false })
        );
        assert_eq!(
            request(json!({ "release": 3, "force": true })).ok(),
            Some(DeploymentRequest::Rollback { target: RollbackTarget::Number(3), force: true })
        );
        let error = request(json!({ "release": 3, "image": "web:v1" })).unwrap_err();
        assert_eq!(error.violations[0].field, "release");
        assert_eq!(request(json!({ "release": 0 })).unwrap_err().violations[0].field, "release");
    }

    #[test]
    fn a_rollback_names_its_release_by_number_or_word() {
        let target = |body: Value| read::<RollbackCreate>(body).map(|create| create.release.0);
        assert_eq!(target(json!({})).ok(), Some(RollbackTarget::Previous));
        assert_eq!(target(json!({ "release": null })).ok(), Some(RollbackTarget::Previous));
        assert_eq!(target(json!({ "release": "previous" })).ok(), Some(RollbackTarget::Previous));
        assert_eq!(target(json!({ "release": "stable" })).ok(), Some(RollbackTarget::Stable));
        assert_eq!(target(json!({ "release": 3 })).ok(), Some(RollbackTarget::Number(3)));
        for bad in
            [json!(0), json!(-1), json!(1.5), json!(1u64 << 40), json!("v3"), json!("3"), json!([])]
        {
            let error = target(json!({ "release": bad })).unwrap_err();
            assert_eq!(error.violations[0].field, "release", "{bad}");
            assert_eq!(
                error.violations[0].rule,
                "an integer from 1 to 2147483647, or one of previous, stable"
            );
        }
    }

    #[test]
    fn replicas_are_bounded() {
        let error = read::<ScaleCreate>(json!({ "replicas": 101 })).unwrap_err();
        assert_eq!(error.violations[0].rule, "an integer from 0 to 100");
        let error = read::<ScaleCreate>(json!({})).unwrap_err();
        assert_eq!(error.violations[0].rule, "is required");
    }
}
