//! Transitions: a deployment's step to its next status, with everything that has to change in the
//! same transaction: the event, the evidence, what is live, and the wake-up of whoever waits.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::deployment::{Deployment, Kind};
use model::evidence::Evidence;
use model::fingerprint::Fingerprint;
use model::id::{AppId, DeploymentId, OrganizationId, ReleaseId};
use model::reason::Reason;
use model::schema::{apps, deployment_events, deployment_evidence, deployments, outbox, releases};
use model::status::Status;
use model::stored::Stored;
use model::{Error, Result};

use super::Claim;
use crate::failure::{self, Failure};
use crate::now::now;
use crate::pool::Database;
use crate::prepared::Prepared;
use crate::reservations::reservation_settle;

/// Moments that are stamped with Postgres's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Swarm has taken our spec.
    pub applied: bool,
    /// A replica became healthy.
    pub progressed: bool,
    /// `Some(true)`: every replica is healthy from now on; `Some(false)`: not any more.
    pub healthy: Option<bool>,
}

/// [`Marks`] as assignments of Postgres's clock.
macro_rules! stamps {
    ($marks:expr) => {{
        let marks: Marks = $marks;
        (
            marks.applied.then_some(deployments::applied_at.eq(now().nullable())),
            marks.progressed.then_some(deployments::progressed_at.eq(now().nullable())),
            (marks.healthy == Some(true))
                .then_some(deployments::healthy_since.eq(now().nullable())),
            (marks.healthy == Some(false))
                .then_some(deployments::healthy_since.eq(None::<DateTime<Utc>>)),
        )
    }};
}

/// What is live after a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The release that the service carries.
    pub release: ReleaseId,
    /// With this restart counter.
    pub restart_counter: i64,
    /// And this many replicas.
    pub replicas: i32,
    /// By what its service is told from what somebody else makes of it.
    pub fingerprint: Fingerprint,
}

/// A step of the state machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The status that it leads to.
    pub to: Status,
    /// What happened, for the timeline.
    pub message: String,
    /// Why, for ends and rollbacks.
    pub reason: Option<Reason>,
    /// Moments to stamp.
    pub marks: Marks,
    /// What was seen.
    pub evidence: Option<Evidence>,
    /// What is live now, for ends that know it.
    pub live: Option<Live>,
}

/// Makes the step, if the deployment is still in `from` and the claim still ours. False: it is not,
/// and nothing was written.
pub async fn ledger_transition(
    database: &Database,
    claim: Claim,
    from: Status,
    transition: &Transition,
) -> Result<bool> {
    if !from.may_become(transition.to) {
        return Err(Error::internal(format!(
            "a deployment does not go from {from} to {}",
            transition.to
        )));
    }
    let mut connection = database.connection().await?;
    let made = connection
        .transaction(async |connection| {
            if transition.to.is_terminal() {
                app_lock(connection, claim).await?;
            }
            if transition.to == Status::Superseded && !is_superseded(connection, claim).await? {
                return Ok(false);
            }
            let Some(deployment) = update(connection, claim, from, transition).await? else {
                return Ok(false);
            };
            event_insert(connection, &deployment, transition).await?;
            if let Some(evidence) = &transition.evidence {
                evidence_upsert(connection, deployment.id, deployment.organization_id, evidence)
                    .await?;
            }
            if transition.to.is_terminal() {
                let ended = (deployment.app_id, deployment.id);
                let is_live = transition.to == Status::Succeeded;
                reservation_settle(connection, ended, is_live).await?;
                app_settle(connection, &deployment, transition).await?;
                wake_next(connection, &deployment).await?;
            }
            Ok::<_, Failure>(true)
        })
        .await?;
    Ok(made)
}

/// Stamps moments without a step. False: the claim is not ours any more.
pub async fn ledger_mark(database: &Database, claim: Claim, marks: Marks) -> Result<bool> {
    let mut connection = database.connection().await?;
    let marking = diesel::update(
        deployments::table
            .filter(deployments::id.eq(claim.deployment))
            .filter(deployments::fence.eq(claim.fence))
            .filter(deployments::finished_at.is_null()),
    )
    .set((stamps!(marks), deployments::updated_at.eq(now())));
    let marked = Prepared(marking).execute(&mut connection).await.map_err(failure::postgres)?;
    Ok(marked == 1)
}

/// Locks the app before the deployment, as an accept does: in the other order the two would wait
/// for each other when a deployment ends while the next one is accepted.
async fn app_lock(connection: &mut AsyncPgConnection, claim: Claim) -> diesel::QueryResult<()> {
    let app = deployments::table.find(claim.deployment).select(deployments::app_id);
    let _: Vec<AppId> = apps::table
        .filter(apps::id.eq_any(app))
        .select(apps::id)
        .for_no_key_update()
        .load(connection)
        .await?;
    Ok(())
}

/// Whether a newer deployment still takes over: it may have been canceled since the worker looked.
/// Under the app's lock, as a cancel is.
async fn is_superseded(
    connection: &mut AsyncPgConnection,
    claim: Claim,
) -> diesel::QueryResult<bool> {
    let newer: Option<DeploymentId> = deployments::table
        .find(claim.deployment)
        .select(deployments::superseded_by)
        .first(connection)
        .await?;
    Ok(newer.is_some())
}

async fn update(
    connection: &mut AsyncPgConnection,
    claim: Claim,
    from: Status,
    transition: &Transition,
) -> Result<Option<Deployment>, Failure> {
    let target = deployments::table
        .filter(deployments::id.eq(claim.deployment))
        .filter(deployments::fence.eq(claim.fence))
        .filter(deployments::status.eq(from));
    let reason = transition.reason.as_ref();
    let update = diesel::update(target)
        .set((
            deployments::status.eq(transition.to),
            reason.map(|reason| deployments::reason_code.eq(reason.code)),
            reason.map(|reason| deployments::reason.eq(&reason.sentence)),
            transition.to.is_terminal().then_some(deployments::finished_at.eq(now().nullable())),
            stamps!(transition.marks),
            deployments::updated_at.eq(now()),
        ))
        .returning(Deployment::as_returning());
    Ok(Prepared(update).get_result(connection).await.optional()?)
}

async fn event_insert(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
    transition: &Transition,
) -> diesel::QueryResult<()> {
    diesel::insert_into(deployment_events::table)
        .values((
            deployment_events::organization_id.eq(deployment.organization_id),
            deployment_events::deployment_id.eq(deployment.id),
            deployment_events::status.eq(transition.to),
            deployment_events::message.eq(&transition.message),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

async fn evidence_upsert(
    connection: &mut AsyncPgConnection,
    deployment: DeploymentId,
    organization: OrganizationId,
    evidence: &Evidence,
) -> diesel::QueryResult<()> {
    let stored = Stored(evidence.clone());
    diesel::insert_into(deployment_evidence::table)
        .values((
            deployment_evidence::deployment_id.eq(deployment),
            deployment_evidence::organization_id.eq(organization),
            deployment_evidence::evidence.eq(&stored),
        ))
        .on_conflict(deployment_evidence::deployment_id)
        .do_update()
        .set((deployment_evidence::evidence.eq(&stored), deployment_evidence::updated_at.eq(now())))
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes down on the app what the verdict found live.
async fn app_settle(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
    transition: &Transition,
) -> diesel::QueryResult<()> {
    if let Some(live) = &transition.live {
        diesel::update(apps::table.find(deployment.app_id))
            .set((
                apps::live_release_id.eq(live.release),
                apps::live_restart_counter.eq(live.restart_counter),
                apps::live_replicas.eq(live.replicas),
                apps::live_version.eq(live.fingerprint.version),
                apps::live_fingerprint.eq(Stored(live.fingerprint.clone())),
                apps::updated_at.eq(now()),
            ))
            .execute(connection)
            .await?;
        // A release that was seen healthy with at least one replica is one to go back to.
        if transition.to == Status::Succeeded && live.replicas > 0 {
            diesel::update(
                releases::table.find(live.release).filter(releases::stable_at.is_null()),
            )
            .set((releases::stable_at.eq(now().nullable()), releases::updated_at.eq(now())))
            .execute(connection)
            .await?;
        }
    }
    match transition.to {
        Status::Succeeded if deployment.kind == Kind::Remove => {
            diesel::update(apps::table.find(deployment.app_id))
                .set((
                    apps::removed_at.eq(now().nullable()),
                    apps::live_release_id.eq(None::<ReleaseId>),
                    apps::live_replicas.eq(None::<i32>),
                    apps::live_version.eq(None::<i64>),
                    apps::live_fingerprint.eq(None::<Stored<Fingerprint>>),
                    apps::updated_at.eq(now()),
                ))
                .execute(connection)
                .await?;
            Ok(())
        }
        Status::Succeeded | Status::Superseded => Ok(()),
        _ => app_unset(connection, deployment).await,
    }
}

/// Takes back what the accept of a deployment that came to nothing had set on its app, so that the
/// next deployment does not try the same again.
pub(crate) async fn app_unset(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
) -> diesel::QueryResult<()> {
    let app = apps::table.find(deployment.app_id);
    match deployment.kind {
        Kind::Deploy | Kind::Rollback | Kind::Restart | Kind::Repair => {}
        Kind::Scale => {
            let unchanged = app
                .filter(apps::replicas.eq(deployment.replicas))
                .filter(apps::live_replicas.is_not_null());
            diesel::update(unchanged)
                .set(apps::replicas.eq(apps::live_replicas.assume_not_null()))
                .execute(connection)
                .await?;
        }
        Kind::Stop => {
            diesel::update(app)
                .set(apps::stopped_at.eq(None::<DateTime<Utc>>))
                .execute(connection)
                .await?;
        }
        // What could not be removed takes changes again, another removal among them.
        Kind::Remove => {
            diesel::update(app)
                .set(apps::removal_requested_at.eq(None::<DateTime<Utc>>))
                .execute(connection)
                .await?;
        }
        Kind::Start => {
            diesel::update(app.filter(apps::stopped_at.is_null()))
                .set(apps::stopped_at.eq(now().nullable()))
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}

/// The app is free: wakes a worker for the deployment that waits for it, if there is one.
async fn wake_next(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
) -> diesel::QueryResult<()> {
    let next: Option<DeploymentId> = deployments::table
        .filter(deployments::app_id.eq(deployment.app_id))
        .filter(deployments::status.eq(Status::Queued))
        .select(deployments::id)
        .first(connection)
        .await
        .optional()?;
    if let Some(next) = next {
        diesel::insert_into(outbox::table)
            .values(outbox::deployment_id.eq(next))
            .execute(connection)
            .await?;
    }
    Ok(())
}
