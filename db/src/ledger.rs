//! The deployment ledger: who drives which deployment, and how far it is. Claims, leases and
//! transitions, each one compare-and-set: zero rows mean that someone newer won.
//!
//! Postgres's clock alone decides leases. The worker counts down on its own monotonic clock, from
//! before it asked.

mod transition;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use model::Result;
use model::deployment::{Deployment, WORK_VERSION};
use model::id::{DeploymentId, WorkerId};
use model::schema::deployments;
use model::status::Status;

pub(crate) use transition::app_unset;
pub use transition::{Live, Marks, Transition, ledger_mark, ledger_transition};

use crate::failure;
use crate::now::now;
use crate::pool::Database;
use crate::prepared::Prepared;

/// How long a claim holds without renewal. A worker that died is taken over after this and a sweep.
pub const LEASE: Duration = Duration::from_secs(10);

/// A deployment that this worker drives, under this fencing number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The claim's number: every write carries it, and fails once a newer claim exists.
    pub fence: i64,
}

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = sql_types::Uuid)]
    id: DeploymentId,
    #[diesel(sql_type = sql_types::BigInt)]
    fence: i64,
}

/// Claims the next deployment: one whose worker died first of all, else a queued one, of the
/// organization with the fewest in progress, oldest first. Where moments are equal, ids decide.
/// `None`: nothing to do.
pub async fn deployment_claim_next(database: &Database, worker: WorkerId) -> Result<Option<Claim>> {
    let mut connection = database.connection().await?;
    // The one-driving index settles a race of two workers that both find no driving deployment of
    // the app: it cannot happen, as both would have to lock the same queued row.
    let claim = diesel::sql_query(
        "WITH abandoned AS (
             UPDATE deployments SET
                 lease_owner = $1,
                 lease_expires_at = now() + make_interval(secs => $2),
                 fence = nextval('deployment_fences'),
                 updated_at = now()
             WHERE id = (
                 SELECT id FROM deployments
                 WHERE status IN ('provisioning', 'updating', 'verifying', 'rolling_back')
                   AND lease_expires_at < now()
                   AND spec_version <= $3
                 ORDER BY lease_expires_at, id
                 LIMIT 1
                 FOR UPDATE SKIP LOCKED)
             RETURNING id, fence
         ), next AS (
             SELECT d.id, d.organization_id, d.app_id FROM deployments d
             LEFT JOIN (
                 SELECT organization_id, count(*) AS driving FROM deployments
                 WHERE status IN ('provisioning', 'updating', 'verifying', 'rolling_back')
                 GROUP BY organization_id
             ) busy USING (organization_id)
             WHERE d.status = 'queued'
               AND d.spec_version <= $3
               AND NOT EXISTS (SELECT FROM abandoned)
               AND NOT EXISTS (
                   SELECT FROM deployments other
                   WHERE other.app_id = d.app_id
                     AND other.status IN ('provisioning', 'updating', 'verifying', 'rolling_back'))
             ORDER BY coalesce(busy.driving, 0), d.created_at, d.id
             LIMIT 1
             FOR UPDATE OF d SKIP LOCKED
         ), claimed AS (
             UPDATE deployments d SET
                 status = 'provisioning',
                 lease_owner = $1,
                 lease_expires_at = now() + make_interval(secs => $2),
                 fence = nextval('deployment_fences'),
                 started_at = now(),
                 progressed_at = now(),
                 updated_at = now()
             FROM next WHERE d.id = next.id
             RETURNING d.id, d.organization_id, d.fence
         ), event AS (
             INSERT INTO deployment_events (organization_id, deployment_id, status, message)
             SELECT organization_id, id, 'provisioning', 'taken up by a worker' FROM claimed
         )
         SELECT id, fence FROM abandoned UNION ALL SELECT id, fence FROM claimed",
    )
    .bind::<sql_types::Uuid, _>(worker)
    .bind::<sql_types::Double, _>(LEASE.as_secs_f64())
    .bind::<sql_types::SmallInt, _>(WORK_VERSION);
    let claimed: Option<Claimed> =
        Prepared(claim).get_result(&mut connection).await.optional().map_err(failure::postgres)?;
    Ok(claimed.map(|Claimed { id, fence }| Claim { deployment: id, fence }))
}

/// Renews a lease. False: the claim is not ours any more.
pub async fn ledger_renew(database: &Database, claim: Claim) -> Result<bool> {
    let mut connection = database.connection().await?;
    let renewal = diesel::sql_query(
        "UPDATE deployments SET lease_expires_at = now() + make_interval(secs => $3)
         WHERE id = $1 AND fence = $2 AND finished_at IS NULL",
    )
    .bind::<sql_types::Uuid, _>(claim.deployment)
    .bind::<sql_types::BigInt, _>(claim.fence)
    .bind::<sql_types::Double, _>(LEASE.as_secs_f64());
    let renewed = Prepared(renewal).execute(&mut connection).await.map_err(failure::postgres)?;
    Ok(renewed == 1)
}

/// Gives leases up at once and wakes another worker for each: what a graceful stop does. Returns
/// how many.
pub async fn ledger_hand_over(database: &Database, worker: WorkerId) -> Result<usize> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "WITH handed_over AS (
             UPDATE deployments SET lease_expires_at = now() - interval '1 millisecond'
             WHERE lease_owner = $1
               AND status IN ('provisioning', 'updating', 'verifying', 'rolling_back')
             RETURNING id)
         INSERT INTO outbox (deployment_id) SELECT id FROM handed_over",
    )
    .bind::<sql_types::Uuid, _>(worker)
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)
}

/// The deployment as it stands, with Postgres's clock; `None`: the claim is not ours any more.
pub async fn ledger_read(
    database: &Database,
    claim: Claim,
) -> Result<Option<(Deployment, DateTime<Utc>)>> {
    let mut connection = database.connection().await?;
    deployments::table
        .filter(deployments::id.eq(claim.deployment))
        .filter(deployments::fence.eq(claim.fence))
        .select((Deployment::as_select(), now()))
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)
}

/// How many deployments there are in each status that is no end; statuses without any included.
pub async fn ledger_counts(database: &Database) -> Result<Vec<(Status, i64)>> {
    let mut connection = database.connection().await?;
    let counted: Vec<(Status, i64)> = deployments::table
        .filter(deployments::finished_at.is_null())
        .group_by(deployments::status)
        .select((deployments::status, count_star()))
        .load(&mut connection)
        .await
        .map_err(failure::postgres)?;
    let unfinished = Status::ALL.iter().filter(|status| !status.is_terminal());
    let count = |status: &Status| counted.iter().find(|(found, _)| found == status);
    Ok(unfinished.map(|status| (*status, count(status).map_or(0, |(_, count)| *count))).collect())
}

/// How many deployments wait or are being driven: zero when everything accepted has its verdict.
pub async fn ledger_unfinished(database: &Database) -> Result<i64> {
    let mut connection = database.connection().await?;
    deployments::table
        .filter(deployments::finished_at.is_null())
        .count()
        .get_result(&mut connection)
        .await
        .map_err(failure::postgres)
}
