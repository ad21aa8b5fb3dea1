//! Accepting a deployment: one transaction of six to eight statements (BEGIN and COMMIT aside).
//! When it has committed, the release, the deployment and its wake-up are there, and nothing is
//! lost from here on.

pub(super) mod target;

use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::Result;
use model::app::App;
use model::deployment::Kind;
use model::id::{DeploymentId, ReleaseId, TokenId};
use model::platform::Platform;
use model::policy::access::Action;
use model::reason::ReasonCode;
use model::release::RollbackTarget;
use model::status::Status;

use self::target::{Target, target_of};
use super::DeploymentRow;
use super::insert::{Attempt, deployment_insert};
use crate::apps::app_lock;
use crate::audit::Mutation;
use crate::failure::Failure;
use crate::pool::Database;
use crate::prepared::Prepared;
use crate::requests::{Answer, Answered, Request};
use crate::reservations::reserve;
use crate::scope::AppScope;
use crate::secrets::pinning::Tries;

/// What the timeline of a deployment begins with that somebody asked for.
pub(super) const ACCEPTED: &str = "accepted";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeploymentRequest {
    /// Freeze the app into a new release and make it live.
    Deploy {
        /// Becomes the app's image first.
        image: Option<String>,
        /// Restart the tasks of an unchanged release.
        force: bool,
    },
    /// Make an older release live again.
    Rollback {
        /// Which.
        target: RollbackTarget,
        /// Restart the tasks of an unchanged release; otherwise what is live is refused.
        force: bool,
    },
    /// Replace the tasks of the live release.
    Restart,
    /// Run another number of replicas.
    Scale {
        /// How many.
        replicas: i32,
    },
    /// Run no replicas until the app is started again.
    Stop {
        /// Why the platform does so; `None`: somebody asks.
        why: Option<String>,
    },
    /// Run the replicas of a stopped app again.
    Start,
    /// Remove the app.
    Remove,
}

impl DeploymentRequest {
    /// What the deployment attempts.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Deploy { .. } => Kind::Deploy,
            Self::Rollback { .. } => Kind::Rollback,
            Self::Restart => Kind::Restart,
            Self::Scale { .. } => Kind::Scale,
            Self::Stop { .. } => Kind::Stop,
            Self::Start => Kind::Start,
            Self::Remove => Kind::Remove,
        }
    }

    /// Whether the tasks of an unchanged release are restarted.
    pub const fn force(&self) -> bool {
        match self {
            Self::Deploy { force, .. } | Self::Rollback { force, .. } => *force,
            Self::Restart => true,
            Self::Scale { .. } | Self::Stop { .. } | Self::Start | Self::Remove => false,
        }
    }

    /// What the holder has to be allowed to do.
    pub const fn action(&self) -> Action {
        match self {
            Self::Remove => Action::AppManage,
            Self::Deploy { .. }
            | Self::Rollback { .. }
            | Self::Restart
            | Self::Scale { .. }
            | Self::Stop { .. }
            | Self::Start => Action::AppDeploy,
        }
    }

    /// What its timeline begins with.
    fn accepted(&self) -> String {
        match self {
            Self::Stop { why: Some(why) } => format!("accepted: {why}"),
            _ => ACCEPTED.to_owned(),
        }
    }

    const fn audit_action(&self) -> &'static str {
        match self {
            Self::Deploy { .. } => "app.deploy",
            Self::Rollback { .. } => "app.rollback",
            Self::Restart => "app.restart",
            Self::Scale { .. } => "app.scale",
            Self::Stop { .. } => "app.stop",
            Self::Start => "app.start",
            Self::Remove => "app.remove",
        }
    }
}

/// Accepts a deployment of the app. A queued one is superseded at once; a driving one is asked to
/// end, and the new one takes over from what it then observes.
pub async fn deployment_accept(
    database: &Database,
    platform: &Platform,
    scope: &AppScope,
    wanted: &DeploymentRequest,
    request: &Request,
    answer: impl Fn(DeploymentRow) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let mut tries = Tries::new();
    let outcome = loop {
        let outcome = accept(database, platform, scope, (wanted, &tries), request, &answer).await;
        if !tries.again(&outcome) {
            break outcome;
        }
    };
    request.settle(database, outcome).await
}

async fn accept(
    database: &Database,
    platform: &Platform,
    scope: &AppScope,
    (wanted, tries): (&DeploymentRequest, &Tries),
    request: &Request,
    answer: &(impl Fn(DeploymentRow) -> Result<Answer> + Sync),
) -> Result<Answered, Failure> {
    let organization = scope.organization.allowing(wanted.action())?;
    let policy = (platform, scope.organization.exceptions());
    let mut connection = database.tenant(organization).await?;
    connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            tries.hold(connection).await?;
            let id = DeploymentId::new();
            let app = app_lock(connection, scope, wanted.action()).await?;
            request.expected.check(&app)?;
            let superseded = supersede(connection, &app, id).await?;
            let target = target_of(connection, policy, &app, wanted, &superseded).await?;
            let asked = Asked {
                id,
                kind: wanted.kind(),
                force: wanted.force(),
                by: request.actor.credential.token(),
                message: wanted.accepted(),
            };
            let row = attempt(connection, &app, &superseded, &target, asked).await?;
            let mutation = audited(&app, wanted.audit_action(), &row, &target);
            request.finish(connection, mutation, answer(row)?).await
        })
        .await
}

/// Who asks for what.
pub(super) struct Asked {
    pub(super) id: DeploymentId,
    pub(super) kind: Kind,
    pub(super) force: bool,
    /// `None`: the platform itself.
    pub(super) by: Option<TokenId>,
    /// What its timeline begins with.
    pub(super) message: String,
}

/// Writes the deployment of a target, in the place of those that it supersedes.
pub(super) async fn attempt(
    connection: &mut AsyncPgConnection,
    app: &App,
    superseded: &[Superseded],
    target: &Target,
    asked: Asked,
) -> Result<DeploymentRow, Failure> {
    reserve(connection, app, target.need).await?;
    let restart_counter = superseded
        .iter()
        .map(|older| older.restart_counter)
        .fold(app.live_restart_counter, i64::max)
        + i64::from(asked.force);
    let attempt = Attempt {
        id: asked.id,
        kind: asked.kind,
        release: target.release,
        replicas: target.replicas,
        restart_counter,
        force: asked.force,
        need: target.need.reserved(),
        spec_version: target.spec_version,
        requested_by: asked.by,
    };
    let deployment = deployment_insert(connection, app, attempt, &asked.message).await?;
    Ok(DeploymentRow { deployment, release: target.number })
}

/// What the audit log keeps of an accepted deployment, the secrets that it mounts included.
pub(super) fn audited<'a>(
    app: &App,
    action: &'a str,
    row: &DeploymentRow,
    target: &Target,
) -> Mutation<'a> {
    let deployment = row.deployment.id;
    let mut after = serde_json::json!({
        "deployment": deployment, "release": target.number, "replicas": target.replicas,
    });
    if !target.mounted.is_empty() {
        after["mounted"] = serde_json::json!(target.mounted);
    }
    Mutation {
        organization: Some(app.organization_id),
        action,
        object: app.id.to_string(),
        before: Some(serde_json::json!({ "replicas": app.replicas })),
        after: Some(after),
        deployment: Some(deployment),
    }
}

/// An older deployment of the app that the new one takes the place of.
#[derive(QueryableByName)]
pub(super) struct Superseded {
    #[diesel(sql_type = sql_types::Uuid)]
    id: DeploymentId,
    #[diesel(sql_type = sql_types::Text)]
    status: Status,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>)]
    release_id: Option<ReleaseId>,
    #[diesel(sql_type = sql_types::BigInt)]
    restart_counter: i64,
}

/// Ends the queued deployment and asks the driving one to end; both timelines say so.
pub(super) async fn supersede(
    connection: &mut AsyncPgConnection,
    app: &App,
    by: DeploymentId,
) -> diesel::QueryResult<Vec<Superseded>> {
    let query = diesel::sql_query(
        "WITH older AS (
             UPDATE deployments SET
                 superseded_by = $2,
                 status = CASE status WHEN 'queued' THEN 'superseded' ELSE status END,
                 finished_at = CASE status WHEN 'queued' THEN now() END,
                 reason_code = CASE status WHEN 'queued' THEN $3 ELSE reason_code END,
                 reason = CASE status WHEN 'queued' THEN $4 ELSE reason END,
                 updated_at = now()
             WHERE app_id = $1
               AND status IN ('queued', 'provisioning', 'updating', 'verifying', 'rolling_back')
             RETURNING id, organization_id, status, release_id, restart_counter
         ), told AS (
             INSERT INTO deployment_events (organization_id, deployment_id, status, message)
             SELECT organization_id, id, status,
                 CASE status WHEN 'superseded' THEN $4 ELSE 'asked to end: ' || $4 END
             FROM older
         )
         SELECT id, status, release_id, restart_counter FROM older",
    )
    .bind::<sql_types::Uuid, _>(app.id)
    .bind::<sql_types::Uuid, _>(by)
    .bind::<sql_types::Text, _>(ReasonCode::NewerDeployment)
    .bind::<sql_types::Text, _>(format!("the newer deployment {by} takes over"));
    Prepared(query).load(connection).await
}

/// The deployments of the app that would be superseded.
pub(super) async fn unfinished(
    connection: &mut AsyncPgConnection,
    app: &App,
) -> QueryResult<Vec<Superseded>> {
    let query = diesel::sql_query(
        "SELECT id, status, release_id, restart_counter FROM deployments WHERE app_id = $1 AND finished_at IS NULL",
    )
    .bind::<sql_types::Uuid, _>(app.id);
    Prepared(query).load(connection).await
}
