//! Accepting a deployment: one transaction of at most eight statements (BEGIN and COMMIT aside).
//! When it has committed, the release, the deployment and its wake-up are there, and nothing is
//! lost from here on.

use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::app::App;
use model::deployment::{Deployment, Kind};
use model::error::ErrorCode;
use model::id::{DeploymentId, ReleaseId, TokenId};
use model::reason::ReasonCode;
use model::release::Release;
use model::schema::{apps, deployment_events, deployments, idempotency_keys, outbox, releases};
use model::spec::{AppSpec, SPEC_VERSION};
use model::status::Status;
use model::stored::Stored;
use model::{Error, Result, policy};

use super::DeploymentRow;
use crate::apps::app_lock;
use crate::audit::{Mutation, audit_insert};
use crate::failure::Failure;
use crate::pool::Database;
use crate::releases::{release_deployable, release_previous};
use crate::scope::{Actor, AppScope};

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
        /// Its number; `None`: the one that was live before.
        release: Option<i32>,
        /// Restart the tasks of an unchanged release.
        force: bool,
    },
    /// Run another number of replicas.
    Scale {
        /// How many.
        replicas: i32,
    },
    /// Remove the app.
    Remove,
}

impl DeploymentRequest {
    const fn kind(&self) -> Kind {
        match self {
            Self::Deploy { .. } => Kind::Deploy,
            Self::Rollback { .. } => Kind::Rollback,
            Self::Scale { .. } => Kind::Scale,
            Self::Remove => Kind::Remove,
        }
    }

    const fn force(&self) -> bool {
        match self {
            Self::Deploy { force, .. } | Self::Rollback { force, .. } => *force,
            Self::Scale { .. } | Self::Remove => false,
        }
    }

    const fn audit_action(&self) -> &'static str {
        match self {
            Self::Deploy { .. } => "app.deploy",
            Self::Rollback { .. } => "app.rollback",
            Self::Scale { .. } => "app.scale",
            Self::Remove => "app.remove",
        }
    }
}

/// What makes a repeated request the same request.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// Method and path.
    pub route: String,
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the body.
    pub request_hash: [u8; 32],
}

/// An accepted deployment.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The deployment.
    pub row: DeploymentRow,
    /// True where an earlier request with the same key was accepted, and this one changed nothing.
    pub replayed: bool,
}

/// Accepts a deployment of the app. A queued one is superseded at once; a driving one is asked to
/// end, and the new one takes over from what it then observes.
pub async fn deployment_accept(
    database: &Database,
    scope: &AppScope,
    request: &DeploymentRequest,
    key: Option<&IdempotencyKey>,
    actor: &Actor,
) -> Result<Accepted> {
    let mut connection = database.connection().await?;
    let accepted = connection
        .transaction(async |connection| {
            let id = DeploymentId::new();
            if let Some(key) = key
                && let Some(earlier) = key_claim(connection, actor.token, key, id).await?
            {
                return Ok(Accepted { row: earlier, replayed: true });
            }
            let app = app_lock(connection, scope).await?;
            let superseded = supersede(connection, &app, id).await?;
            let target = target_of(connection, &app, request, &superseded).await?;
            let restart_counter = superseded
                .iter()
                .map(|older| older.restart_counter)
                .fold(app.live_restart_counter, i64::max)
                + i64::from(request.force());
            let deployment = diesel::insert_into(deployments::table)
                .values((
                    deployments::id.eq(id),
                    deployments::organization_id.eq(app.organization_id),
                    deployments::app_id.eq(app.id),
                    deployments::release_id.eq(target.release),
                    deployments::kind.eq(request.kind()),
                    deployments::status.eq(Status::Queued),
                    deployments::replicas.eq(target.replicas),
                    deployments::restart_counter.eq(restart_counter),
                    deployments::force.eq(request.force()),
                    deployments::spec_version.eq(target.spec_version),
                    deployments::requested_by.eq(actor.token),
                ))
                .returning(Deployment::as_returning())
                .get_result(connection)
                .await?;
            events_insert(connection, &deployment, &superseded).await?;
            audit_insert(
                connection,
                actor,
                Mutation {
                    organization: Some(app.organization_id),
                    action: request.audit_action(),
                    object: app.id.to_string(),
                    before: Some(serde_json::json!({ "replicas": app.replicas })),
                    after: Some(serde_json::json!({
                        "deployment": id, "release": target.number, "replicas": target.replicas,
                    })),
                },
            )
            .await?;
            diesel::insert_into(outbox::table)
                .values(outbox::deployment_id.eq(id))
                .execute(connection)
                .await?;
            let row = DeploymentRow { deployment, release: target.number };
            Ok::<_, Failure>(Accepted { row, replayed: false })
        })
        .await?;
    Ok(accepted)
}

/// Takes the key for this request. `Some`: an earlier request had it, and this is its deployment.
async fn key_claim(
    connection: &mut AsyncPgConnection,
    token: TokenId,
    key: &IdempotencyKey,
    id: DeploymentId,
) -> Result<Option<DeploymentRow>, Failure> {
    // Waits for a transaction in progress that holds the same key, and then sees its row.
    let taken = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::token_id.eq(token),
            idempotency_keys::route.eq(&key.route),
            idempotency_keys::key.eq(&key.key),
            idempotency_keys::request_hash.eq(key.request_hash.as_slice()),
            idempotency_keys::deployment_id.eq(id),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    if taken == 1 {
        return Ok(None);
    }
    let (hash, earlier): (Vec<u8>, DeploymentId) = idempotency_keys::table
        .find((token, &key.route, &key.key))
        .select((idempotency_keys::request_hash, idempotency_keys::deployment_id))
        .first(connection)
        .await?;
    if hash != key.request_hash {
        return Err(Failure::Refused(Error::new(
            ErrorCode::IdempotencyKeyReused,
            "this Idempotency-Key came before with another body; use a new key for a new request",
        )));
    }
    let row = deployments::table
        .left_join(releases::table)
        .filter(deployments::id.eq(earlier))
        .select((Deployment::as_select(), releases::number.nullable()))
        .first(connection)
        .await?;
    Ok(Some(row))
}

/// An older deployment of the app that the new one takes the place of.
#[derive(QueryableByName)]
struct Superseded {
    #[diesel(sql_type = sql_types::Uuid)]
    id: DeploymentId,
    #[diesel(sql_type = sql_types::Text)]
    status: Status,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>)]
    release_id: Option<ReleaseId>,
    #[diesel(sql_type = sql_types::BigInt)]
    restart_counter: i64,
}

/// Ends the queued deployment and asks the driving one to end, in one statement.
async fn supersede(
    connection: &mut AsyncPgConnection,
    app: &App,
    by: DeploymentId,
) -> diesel::QueryResult<Vec<Superseded>> {
    diesel::sql_query(
        "UPDATE deployments SET
             superseded_by = $2,
             status = CASE status WHEN 'queued' THEN 'superseded' ELSE status END,
             finished_at = CASE status WHEN 'queued' THEN now() END,
             reason_code = CASE status WHEN 'queued' THEN $3 ELSE reason_code END,
             reason = CASE status WHEN 'queued' THEN $4 ELSE reason END,
             updated_at = now()
         WHERE app_id = $1
           AND status IN ('queued', 'provisioning', 'updating', 'verifying', 'rolling_back')
         RETURNING id, status, release_id, restart_counter",
    )
    .bind::<sql_types::Uuid, _>(app.id)
    .bind::<sql_types::Uuid, _>(by)
    .bind::<sql_types::Text, _>(ReasonCode::NewerDeployment)
    .bind::<sql_types::Text, _>(format!("the newer deployment {by} took its place in the queue"))
    .load(connection)
    .await
}

/// What the new deployment makes live.
struct Target {
    release: Option<ReleaseId>,
    number: Option<i32>,
    replicas: i32,
    spec_version: i16,
}

async fn target_of(
    connection: &mut AsyncPgConnection,
    app: &App,
    request: &DeploymentRequest,
    superseded: &[Superseded],
) -> Result<Target, Failure> {
    match request {
        DeploymentRequest::Deploy { image, .. } => {
            let spec = match image {
                Some(image) => AppSpec { image: image.clone(), ..app.spec.0.clone() },
                None => app.spec.0.clone(),
            };
            allowed(&spec)?;
            let number = app.last_release + 1;
            diesel::update(apps::table.find(app.id))
                .set((
                    apps::last_release.eq(number),
                    apps::spec.eq(Stored(spec.clone())),
                    apps::updated_at.eq(diesel::dsl::now),
                ))
                .execute(connection)
                .await?;
            let release = ReleaseId::new();
            diesel::insert_into(releases::table)
                .values((
                    releases::id.eq(release),
                    releases::organization_id.eq(app.organization_id),
                    releases::app_id.eq(app.id),
                    releases::number.eq(number),
                    releases::spec.eq(Stored(spec)),
                    releases::spec_version.eq(SPEC_VERSION),
                ))
                .execute(connection)
                .await?;
            Ok(Target {
                release: Some(release),
                number: Some(number),
                replicas: app.replicas,
                spec_version: SPEC_VERSION,
            })
        }
        DeploymentRequest::Rollback { release, .. } => {
            let release = match release {
                Some(number) => release_deployable(connection, app, *number).await?,
                None => release_previous(connection, app).await?,
            };
            // Yesterday's spec has to pass today's policy.
            allowed(&release.spec.0)?;
            Ok(target_release(&release, app.replicas))
        }
        DeploymentRequest::Scale { replicas } => {
            diesel::update(apps::table.find(app.id))
                .set((apps::replicas.eq(replicas), apps::updated_at.eq(diesel::dsl::now)))
                .execute(connection)
                .await?;
            match running_release(connection, app, superseded).await? {
                Some(release) => Ok(target_release(&release, *replicas)),
                None => Err(Failure::Refused(Error::new(
                    ErrorCode::NothingDeployed,
                    format!(
                        "nothing of {} is deployed: deploy it first, or set replicas with PATCH \
                         for the first deployment",
                        app.slug
                    ),
                ))),
            }
        }
        DeploymentRequest::Remove => {
            diesel::update(apps::table.find(app.id))
                .set((
                    apps::removal_requested_at.eq(diesel::dsl::now),
                    apps::updated_at.eq(diesel::dsl::now),
                ))
                .execute(connection)
                .await?;
            // A removal first runs what is there with no replicas, so that it ends when every task
            // has, and not when Swarm has merely forgotten them.
            let release = running_release(connection, app, superseded).await?;
            Ok(release.map_or(
                Target { release: None, number: None, replicas: 0, spec_version: SPEC_VERSION },
                |release| target_release(&release, 0),
            ))
        }
    }
}

fn target_release(release: &Release, replicas: i32) -> Target {
    Target {
        release: Some(release.id),
        number: Some(release.number),
        replicas,
        spec_version: release.spec_version,
    }
}

/// The release that the service runs: the one on its way in (scaling must not undo a deployment
/// that it supersedes), else the live one.
async fn running_release(
    connection: &mut AsyncPgConnection,
    app: &App,
    superseded: &[Superseded],
) -> Result<Option<Release>, Failure> {
    let coming = superseded
        .iter()
        .filter(|older| older.status != Status::RollingBack)
        .max_by_key(|older| older.id)
        .and_then(|older| older.release_id);
    let Some(id) = coming.or(app.live_release_id) else { return Ok(None) };
    let release = releases::table.find(id).select(Release::as_select()).first(connection).await?;
    Ok(Some(release))
}

fn allowed(spec: &AppSpec) -> Result<()> {
    let violations = policy::check(spec);
    if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
}

/// The new deployment's first event, and what it did to older ones.
async fn events_insert(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
    superseded: &[Superseded],
) -> diesel::QueryResult<()> {
    let event = |id: DeploymentId, status: Status, message: String| {
        (
            deployment_events::organization_id.eq(deployment.organization_id),
            deployment_events::deployment_id.eq(id),
            deployment_events::status.eq(status),
            deployment_events::message.eq(message),
        )
    };
    let mut events = vec![event(deployment.id, Status::Queued, "accepted".into())];
    events.extend(superseded.iter().map(|older| {
        let message = match older.status {
            Status::Superseded => format!("superseded by {}", deployment.id),
            _ => format!("asked to end: {} takes over", deployment.id),
        };
        event(older.id, older.status, message)
    }));
    diesel::insert_into(deployment_events::table).values(events).execute(connection).await?;
    Ok(())
}
