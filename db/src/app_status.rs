//! The projection of what runs. Workers write it whenever it changes; the API reads it with the
//! app (`apps`).

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use model::Result;
use model::app_status::AppStatus;
use model::id::AppId;
use model::schema::app_status;

use crate::failure;
use crate::pool::Database;

/// Writes what was seen. `since` is kept while the health stays the same.
pub async fn app_status_write(database: &Database, seen: &[AppStatus]) -> Result<()> {
    if seen.is_empty() {
        return Ok(());
    }
    let mut connection = database.connection().await?;
    let since = diesel::dsl::case_when(
        app_status::health.eq(excluded(app_status::health)),
        app_status::since,
    )
    .otherwise(excluded(app_status::since));
    diesel::insert_into(app_status::table)
        .values(seen)
        .on_conflict(app_status::app_id)
        .do_update()
        .set((
            app_status::since.eq(since),
            app_status::health.eq(excluded(app_status::health)),
            app_status::cause.eq(excluded(app_status::cause)),
            app_status::release_id.eq(excluded(app_status::release_id)),
            app_status::desired.eq(excluded(app_status::desired)),
            app_status::running.eq(excluded(app_status::running)),
            app_status::tasks.eq(excluded(app_status::tasks)),
            app_status::observed_at.eq(excluded(app_status::observed_at)),
            app_status::updated_at.eq(diesel::dsl::now),
        ))
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(())
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
