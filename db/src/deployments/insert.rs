//! A new deployment's rows: itself, queued; its first event; and the wake-up of a worker. One statement: each is a
//! round trip of every accept.

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::app::App;
use model::capacity::Reserved;
use model::deployment::{Deployment, Kind};
use model::id::{DeploymentId, ReleaseId, TokenId};

use crate::prepared::Prepared;

/// What the deployment attempts.
pub(super) struct Attempt {
    pub(super) id: DeploymentId,
    pub(super) kind: Kind,
    /// The release that is made live; `None` for a removal of what never ran.
    pub(super) release: Option<ReleaseId>,
    pub(super) replicas: i32,
    pub(super) restart_counter: i64,
    pub(super) force: bool,
    /// What it may need, which is kept.
    pub(super) need: Reserved,
    /// Of the release's spec; a kind may need a newer worker than that.
    pub(super) spec_version: i16,
    /// `None`: the platform itself asks.
    pub(super) requested_by: Option<TokenId>,
}

/// Writes them; `message` is the event's.
pub(super) async fn deployment_insert(
    connection: &mut AsyncPgConnection,
    app: &App,
    attempt: Attempt,
    message: &str,
) -> diesel::QueryResult<Deployment> {
    let query = diesel::sql_query(
        "WITH accepted AS (
             INSERT INTO deployments (id, organization_id, app_id, release_id, kind, status, replicas,
                 restart_counter, force, spec_version, requested_by, addresses, tasks, cpu_millis,
                 memory_mb, disk_gb)
             VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $12, $13, $14, $15, $16)
             RETURNING *
         ), told AS (
             INSERT INTO deployment_events (organization_id, deployment_id, status, message)
             SELECT organization_id, id, status, $11 FROM accepted
         ), woken AS (
             INSERT INTO outbox (deployment_id) SELECT id FROM accepted
         )
         SELECT * FROM accepted",
    )
    .bind::<Uuid, _>(attempt.id)
    .bind::<Uuid, _>(app.organization_id)
    .bind::<Uuid, _>(app.id)
    .bind::<Nullable<Uuid>, _>(attempt.release)
    .bind::<Text, _>(attempt.kind)
    .bind::<Integer, _>(attempt.replicas)
    .bind::<BigInt, _>(attempt.restart_counter)
    .bind::<Bool, _>(attempt.force)
    .bind::<SmallInt, _>(attempt.spec_version.max(attempt.kind.work_version()))
    .bind::<Nullable<Uuid>, _>(attempt.requested_by)
    .bind::<Text, _>(message)
    .bind::<Integer, _>(attempt.need.addresses)
    .bind::<Integer, _>(attempt.need.tasks)
    .bind::<Integer, _>(attempt.need.cpu_millis)
    .bind::<Integer, _>(attempt.need.memory_mb)
    .bind::<Integer, _>(attempt.need.disk_gb);
    Prepared(query).get_result(connection).await
}
