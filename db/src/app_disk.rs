//! What apps have written to disk. Workers measure it, one at a time; the API reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Double, Integer, Timestamptz, Uuid};
use diesel::upsert::excluded;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::Result;
use model::audit::{AuditEntry, AuditResult};
use model::disk::{AppDisk, DiskLevel, GB, ReplicaDisk};
use model::id::{AppId, AuditId, EnvironmentId, OrganizationId};
use model::schema::app_disk;
use model::stored::Stored;

use crate::apps::app_get;
use crate::audit::entry_insert;
use crate::failure::{self, Failure};
use crate::now::now;
use crate::pool::Database;
use crate::scope::AppScope;

/// Who told, in the audit log: no request did.
const MEASURING: &str = "disk";
/// Apps of one transaction.
const BATCH: usize = 200;

/// What the app has written, as it was measured last; `None`: never yet.
pub async fn app_disk_get(database: &Database, scope: &AppScope) -> Result<Option<AppDisk>> {
    let app = app_get(database, scope).await?.app;
    let mut connection = database.tenant(app.organization_id).await?;
    app_disk::table
        .find(app.id)
        .select(AppDisk::as_select())
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)
}

/// Whether it is for this worker to measure now, as nobody did for so long: since when, by Postgres's clock.
pub async fn disk_round_begin(
    database: &Database,
    every: Duration,
) -> Result<Option<DateTime<Utc>>> {
    let mut connection = database.connection().await?;
    let begun: Option<Begun> = diesel::sql_query(
        "UPDATE disk_rounds SET next_at = now() + make_interval(secs => $1) WHERE next_at <= now() RETURNING now() AS at",
    )
    .bind::<Double, _>(every.as_secs_f64())
    .get_result(&mut connection)
    .await
    .optional()
    .map_err(failure::postgres)?;
    Ok(begun.map(|begun| begun.at))
}

#[derive(QueryableByName)]
struct Begun {
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

/// An app of which a replica has written all that it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullApp {
    /// Which.
    pub app: AppId,
    /// Its environment.
    pub environment: EnvironmentId,
    /// Its tenant.
    pub organization: OrganizationId,
    /// What its fullest replica has written, in bytes.
    pub used_bytes: i64,
    /// What it may, in bytes.
    pub limit_bytes: i64,
}

#[derive(QueryableByName)]
struct Allowed {
    #[diesel(sql_type = Uuid)]
    app: AppId,
    #[diesel(sql_type = Uuid)]
    environment: EnvironmentId,
    #[diesel(sql_type = Uuid)]
    organization: OrganizationId,
    #[diesel(sql_type = Integer)]
    disk_gb: i32,
    /// Whether it is being deployed, or was since the measurement began.
    #[diesel(sql_type = Bool)]
    is_new: bool,
}

/// Writes down what was measured since `begun`, and tells the owners of apps whose level has changed by an event in the audit log. Answers the
/// apps that are full, but for those that were deployed in between: what was measured is of what ran before.
pub async fn app_disk_write(
    database: &Database,
    measured: BTreeMap<AppId, Vec<ReplicaDisk>>,
    begun: DateTime<Utc>,
) -> Result<Vec<FullApp>> {
    let mut connection = database.connection().await?;
    let mut full = Vec::new();
    let measured: Vec<(AppId, Vec<ReplicaDisk>)> = measured.into_iter().collect();
    for batch in measured.chunks(BATCH) {
        let found = connection
            .transaction(async |connection| write(connection, batch, begun).await)
            .await?;
        full.extend(found);
    }
    Ok(full)
}

async fn write(
    connection: &mut AsyncPgConnection,
    measured: &[(AppId, Vec<ReplicaDisk>)],
    begun: DateTime<Utc>,
) -> Result<Vec<FullApp>, Failure> {
    let ids: Vec<AppId> = measured.iter().map(|(app, _)| *app).collect();
    let allowed: Vec<Allowed> = diesel::sql_query(
        "SELECT a.id AS app, a.environment_id AS environment, a.organization_id AS organization, (r.spec ->> 'disk_gb')::integer AS disk_gb,
             EXISTS (SELECT FROM deployments d WHERE d.app_id = a.id AND (d.finished_at IS NULL OR d.finished_at >= $2)) AS is_new
         FROM apps a JOIN releases r ON r.id = a.live_release_id
         WHERE a.id = ANY ($1) AND a.removed_at IS NULL",
    )
    .bind::<Array<Uuid>, _>(&ids)
    .bind::<Timestamptz, _>(begun)
    .load(connection)
    .await?;
    let allowed: BTreeMap<AppId, Allowed> =
        allowed.into_iter().map(|allowed| (allowed.app, allowed)).collect();
    let before: Vec<(AppId, DiskLevel)> = app_disk::table
        .filter(app_disk::app_id.eq_any(&ids))
        .order(app_disk::app_id)
        .select((app_disk::app_id, app_disk::level))
        .for_no_key_update()
        .load(connection)
        .await?;
    let before: BTreeMap<AppId, DiskLevel> = before.into_iter().collect();
    let (mut rows, mut full) = (Vec::new(), Vec::new());
    for (app, replicas) in measured {
        // One that is gone by now, or that nothing is live of yet, is not accounted.
        let Some(Allowed { environment, organization, disk_gb, is_new, .. }) = allowed.get(app)
        else {
            continue;
        };
        let used_bytes = replicas.iter().map(|replica| replica.bytes).max().unwrap_or(0);
        let limit_bytes = i64::from(*disk_gb) * GB;
        let level = DiskLevel::of(used_bytes, limit_bytes);
        rows.push((
            app_disk::app_id.eq(*app),
            app_disk::organization_id.eq(*organization),
            app_disk::replicas.eq(Stored(replicas.clone())),
            app_disk::used_bytes.eq(used_bytes),
            app_disk::limit_bytes.eq(limit_bytes),
            app_disk::level.eq(level),
        ));
        let found = FullApp {
            app: *app,
            environment: *environment,
            organization: *organization,
            used_bytes,
            limit_bytes,
        };
        let was = before.get(app).copied().unwrap_or(DiskLevel::Normal);
        if was != level {
            tell(connection, &found, (was, level)).await?;
        }
        if level == DiskLevel::Full && !is_new {
            full.push(found);
        }
    }
    let same = || app_disk::level.eq(excluded(app_disk::level));
    let since =
        diesel::dsl::case_when(same(), app_disk::since).otherwise(excluded(app_disk::since));
    diesel::insert_into(app_disk::table)
        .values(rows)
        .on_conflict(app_disk::app_id)
        .do_update()
        .set((
            app_disk::since.eq(since),
            app_disk::replicas.eq(excluded(app_disk::replicas)),
            app_disk::used_bytes.eq(excluded(app_disk::used_bytes)),
            app_disk::limit_bytes.eq(excluded(app_disk::limit_bytes)),
            app_disk::level.eq(excluded(app_disk::level)),
            app_disk::measured_at.eq(now()),
            app_disk::updated_at.eq(now()),
        ))
        .execute(connection)
        .await?;
    Ok(full)
}

async fn tell(
    connection: &mut AsyncPgConnection,
    app: &FullApp,
    (was, level): (DiskLevel, DiskLevel),
) -> QueryResult<()> {
    let entry = AuditEntry {
        id: AuditId::new(),
        organization_id: Some(app.organization),
        token_id: None,
        user_id: None,
        action: "app.disk".to_owned(),
        object: app.app.to_string(),
        before: Some(serde_json::json!({ "level": was })),
        after: Some(serde_json::json!({
            "level": level, "used_bytes": app.used_bytes, "limit_bytes": app.limit_bytes,
        })),
        request_id: MEASURING.to_owned(),
        address: None,
        result: AuditResult::Done,
    };
    entry_insert(connection, &entry).await
}

/// Forgets what was measured of apps that have not been measured for so long: they run nothing that is reached.
pub async fn app_disk_forget(database: &Database, older: Duration) -> Result<usize> {
    let mut connection = database.connection().await?;
    diesel::sql_query("DELETE FROM app_disk WHERE measured_at < now() - make_interval(secs => $1)")
        .bind::<Double, _>(older.as_secs_f64())
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)
}
