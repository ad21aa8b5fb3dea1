//! The projection of what runs. Workers write it whenever it changes; the API reads it with the
//! app (`apps`). A trigger keeps each time in which the health stayed the same.
//!
//! Several workers look at the same apps: of two observations the newer one stays, whichever is written
//! last, and rows are locked in the order of their ids, so that nobody waits for somebody who waits.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::query_dsl::methods;
use diesel::sql_types;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use model::Result;
use model::app_status::{AppStatus, Health, HealthPeriod};
use model::error::ErrorCode;
use model::id::{AppId, HealthId};
use model::schema::{app_health, app_status};

use crate::apps::app_get;
use crate::failure;
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::scope::AppScope;

/// Rows of one statement: Postgres takes 65,535 parameters.
const CHUNK: usize = 500;

/// An app that does as it did when it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unchanged {
    /// The app.
    pub app: AppId,
    /// How it does.
    pub health: Health,
    /// Replicas that should run.
    pub desired: i32,
}

/// Writes what was seen, where it is newer than what is written. `since` is kept while the health stays
/// the same. A row that Postgres refuses (of an app that went meanwhile) costs the others nothing.
pub async fn app_status_write(database: &Database, mut seen: Vec<AppStatus>) -> Result<()> {
    seen.sort_unstable_by_key(|status| status.app_id);
    for chunk in seen.chunks(CHUNK) {
        match write(database, chunk).await {
            Ok(()) => continue,
            Err(error) if error.code == ErrorCode::Unavailable => return Err(error),
            Err(_) => {}
        }
        for status in chunk {
            if let Err(error) = write(database, std::slice::from_ref(status)).await {
                if error.code == ErrorCode::Unavailable {
                    return Err(error);
                }
                tracing::warn!(app = %status.app_id, error = error.chain(), "no live status");
            }
        }
    }
    Ok(())
}

async fn write(database: &Database, seen: &[AppStatus]) -> Result<()> {
    let mut connection = database.connection().await?;
    let same = || app_status::health.eq(excluded(app_status::health));
    let since =
        diesel::dsl::case_when(same(), app_status::since).otherwise(excluded(app_status::since));
    let period = diesel::dsl::case_when(same(), app_status::health_id)
        .otherwise(excluded(app_status::health_id));
    let upsert = diesel::insert_into(app_status::table)
        .values(seen)
        .on_conflict(app_status::app_id)
        .do_update()
        .set((
            app_status::since.eq(since),
            app_status::health_id.eq(period),
            app_status::health.eq(excluded(app_status::health)),
            app_status::cause.eq(excluded(app_status::cause)),
            app_status::release_id.eq(excluded(app_status::release_id)),
            app_status::desired.eq(excluded(app_status::desired)),
            app_status::running.eq(excluded(app_status::running)),
            app_status::tasks.eq(excluded(app_status::tasks)),
            app_status::virtual_address.eq(excluded(app_status::virtual_address)),
            app_status::observed_at.eq(excluded(app_status::observed_at)),
            app_status::updated_at.eq(now()),
        ));
    let is_newer = app_status::observed_at.lt(excluded(app_status::observed_at));
    methods::FilterDsl::filter(upsert, is_newer)
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(())
}

/// Says of apps that did as before at this moment that they were observed then, where what is written is
/// older than `fresh`: what one worker has said, another one need not. Returns the apps of which something
/// else is written, or nothing. A row that somebody else holds is left to them.
pub async fn app_status_confirm(
    database: &Database,
    unchanged: &[Unchanged],
    at: DateTime<Utc>,
    fresh: TimeDelta,
) -> Result<Vec<AppId>> {
    if unchanged.is_empty() {
        return Ok(Vec::new());
    }
    let apps: Vec<AppId> = unchanged.iter().map(|one| one.app).collect();
    let healths: Vec<Health> = unchanged.iter().map(|one| one.health).collect();
    let desired: Vec<i32> = unchanged.iter().map(|one| one.desired).collect();
    let mut connection = database.connection().await?;
    let others: Vec<Named> = diesel::sql_query(
        "WITH seen AS (
             SELECT * FROM unnest($1, $2, $3) AS seen (app_id, health, desired)
         ), stale AS (
             SELECT s.app_id FROM app_status s JOIN seen USING (app_id)
             WHERE s.health = seen.health AND s.desired = seen.desired AND s.observed_at <= $4
             FOR NO KEY UPDATE OF s SKIP LOCKED
         ), confirmed AS (
             UPDATE app_status s SET observed_at = $5, updated_at = now()
             FROM stale WHERE s.app_id = stale.app_id
         )
         SELECT seen.app_id FROM seen LEFT JOIN app_status s USING (app_id)
         WHERE (s.health, s.desired) IS DISTINCT FROM (seen.health, seen.desired)",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(apps)
    .bind::<sql_types::Array<sql_types::Text>, _>(healths)
    .bind::<sql_types::Array<sql_types::Integer>, _>(desired)
    .bind::<sql_types::Timestamptz, _>(at - fresh)
    .bind::<sql_types::Timestamptz, _>(at)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(others.into_iter().map(|other| other.app_id).collect())
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = sql_types::Uuid)]
    app_id: AppId,
}

/// How an app did, newest first.
pub async fn app_health_list(
    database: &Database,
    scope: &AppScope,
    page: PageRequest,
) -> Result<Page<HealthPeriod>> {
    let app = app_get(database, scope).await?.app;
    let mut connection = database.tenant(app.organization_id).await?;
    let mut query = app_health::table
        .filter(app_health::app_id.eq(app.id))
        .select(HealthPeriod::as_select())
        .order(app_health::id.desc())
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(app_health::id.lt(HealthId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |row: &HealthPeriod| row.id.as_uuid()))
}

/// Forgets the status of apps whose service was gone at this moment.
pub async fn app_status_forget(
    database: &Database,
    apps: &[AppId],
    at: DateTime<Utc>,
) -> Result<()> {
    if apps.is_empty() {
        return Ok(());
    }
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "DELETE FROM app_status WHERE app_id IN (
             SELECT app_id FROM app_status WHERE app_id = ANY ($1) AND observed_at <= $2
             ORDER BY app_id FOR UPDATE)",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(apps)
    .bind::<sql_types::Timestamptz, _>(at)
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(())
}
