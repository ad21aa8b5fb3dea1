//! The projection of what runs. Workers write it whenever it changes; the API reads it with the
//! app (`apps`). A trigger keeps each time in which the health stayed the same.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use model::Result;
use model::app_status::{AppStatus, HealthPeriod};
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

/// Writes what was seen. `since` is kept while the health stays the same. A row that Postgres
/// refuses (of an app that went meanwhile) costs the others nothing.
pub async fn app_status_write(database: &Database, seen: &[AppStatus]) -> Result<()> {
    for chunk in seen.chunks(CHUNK) {
        if write(database, chunk).await.is_ok() {
            continue;
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
    diesel::insert_into(app_status::table)
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
            app_status::observed_at.eq(excluded(app_status::observed_at)),
            app_status::updated_at.eq(now()),
        ))
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(())
}

/// How an app did, newest first.
pub async fn app_health_list(
    database: &Database,
    scope: &AppScope,
    page: PageRequest,
) -> Result<Page<HealthPeriod>> {
    let app = app_get(database, scope).await?.app;
    let mut connection = database.connection().await?;
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

/// The apps that have a status: what a worker starts from.
pub async fn app_status_apps(database: &Database) -> Result<Vec<AppId>> {
    let mut connection = database.connection().await?;
    app_status::table
        .select(app_status::app_id)
        .load(&mut connection)
        .await
        .map_err(failure::postgres)
}

/// Forgets the status of apps whose service is gone.
pub async fn app_status_forget(database: &Database, apps: &[AppId]) -> Result<()> {
    let mut connection = database.connection().await?;
    diesel::delete(app_status::table.filter(app_status::app_id.eq_any(apps)))
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(())
}
