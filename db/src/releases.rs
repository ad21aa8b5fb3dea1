//! Releases: read by tenants, made by deployments.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::app::App;
use model::deployment::Kind;
use model::reason::ReasonCode;
use model::release::Release;
use model::schema::{deployments, releases};
use model::status::Status;
use model::{Error, Result};
use uuid::Uuid;

use crate::apps::app_get;
use crate::failure::{self, Failure};
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::scope::AppScope;

/// A release, and whether the last verdict left it live.
#[derive(Debug, Clone)]
pub struct ReleaseRow {
    /// The release.
    pub release: Release,
    /// Whether it is live.
    pub live: bool,
}

impl ReleaseRow {
    fn of(release: Release, app: &App) -> Self {
        let live = app.live_release_id == Some(release.id);
        Self { release, live }
    }
}

/// The releases of an app, newest first.
pub async fn release_list(
    database: &Database,
    scope: &AppScope,
    page: PageRequest,
) -> Result<Page<ReleaseRow>> {
    let app = app_get(database, scope).await?.app;
    let mut connection = database.connection().await?;
    let mut query = releases::table
        .filter(releases::app_id.eq(app.id))
        .select(Release::as_select())
        .order(releases::id.desc())
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(releases::id.lt(model::id::ReleaseId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    let rows = rows.into_iter().map(|release| ReleaseRow::of(release, &app)).collect();
    Ok(Page::new(rows, page, |row: &ReleaseRow| -> Uuid { row.release.id.as_uuid() }))
}

/// One release of an app, by number.
pub async fn release_get(database: &Database, scope: &AppScope, number: i32) -> Result<ReleaseRow> {
    let app = app_get(database, scope).await?.app;
    let mut connection = database.connection().await?;
    releases::table
        .filter(releases::app_id.eq(app.id))
        .filter(releases::number.eq(number))
        .select(Release::as_select())
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?
        .map(|release| ReleaseRow::of(release, &app))
        .ok_or_else(|| Error::not_found("release"))
}

/// A release that may be made live again: it exists, it ran, and it is among the newest ten.
pub(crate) async fn release_deployable(
    connection: &mut AsyncPgConnection,
    app: &App,
    number: i32,
) -> Result<Release, Failure> {
    let release = releases::table
        .filter(releases::app_id.eq(app.id))
        .filter(releases::number.eq(number))
        .select(Release::as_select())
        .first(connection)
        .await
        .optional()?
        .ok_or_else(|| Error::not_found("release"))?;
    release.deployable(app.last_release)?;
    Ok(release)
}

/// The release that was live before the one that is: the newest other one that a deployment left
/// live.
pub(crate) async fn release_previous(
    connection: &mut AsyncPgConnection,
    app: &App,
) -> Result<Release, Failure> {
    let Some(live) = app.live_release_id else {
        return Err(Failure::Refused(app.nothing_before()));
    };
    let number: Option<i32> = deployments::table
        .inner_join(releases::table)
        .filter(deployments::app_id.eq(app.id))
        .filter(deployments::status.eq(Status::Succeeded))
        .filter(deployments::kind.ne(Kind::Remove))
        .filter(deployments::release_id.ne(live))
        // An unchanged release was recorded, and never ran under its own number.
        .filter(deployments::reason_code.ne(ReasonCode::Unchanged))
        .order(deployments::id.desc())
        .select(releases::number)
        .first(connection)
        .await
        .optional()?;
    match number {
        Some(number) => release_deployable(connection, app, number).await,
        None => Err(Failure::Refused(app.nothing_before())),
    }
}
