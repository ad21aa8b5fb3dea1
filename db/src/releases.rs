//! Releases: read by tenants, made by deployments.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::app::App;
use model::deployment::Kind;
use model::error::ErrorCode;
use model::platform::Platform;
use model::reason::ReasonCode;
use model::release::{Release, RollbackTarget};
use model::schema::{deployments, releases};
use model::spec::AppSpec;
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
    let mut connection = database.tenant(app.organization_id).await?;
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
    let mut connection = database.tenant(app.organization_id).await?;
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

/// What of an app is compared with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The release that the last verdict left live.
    Live,
    /// What the next release will be.
    Draft,
    /// The release of this number.
    Number(i32),
}

/// One side of a comparison.
#[derive(Debug, Clone)]
pub struct ComparedSpec {
    /// The spec.
    pub spec: AppSpec,
    /// The release that has it; `None`: no release has, yet.
    pub release: Option<Release>,
}

/// Two specs of an app, to be compared.
pub async fn release_pair(
    database: &Database,
    platform: &Platform,
    scope: &AppScope,
    pair: [Compared; 2],
) -> Result<[ComparedSpec; 2]> {
    let app = app_get(database, scope).await?.app;
    let number = |side| if let Compared::Number(number) = side { Some(number) } else { None };
    let numbers: Vec<i32> = pair.into_iter().filter_map(number).collect();
    let mut connection = database.tenant(app.organization_id).await?;
    let found: Vec<Release> = releases::table
        .filter(releases::app_id.eq(app.id))
        .filter(
            releases::number.eq_any(numbers).or(releases::id.nullable().eq(app.live_release_id)),
        )
        .select(Release::as_select())
        .load(&mut connection)
        .await
        .map_err(failure::postgres)?;
    let side = |side| {
        let wanted = |release: &&Release| match side {
            Compared::Number(number) => release.number == number,
            Compared::Live => Some(release.id) == app.live_release_id,
            Compared::Draft => false,
        };
        match (found.iter().find(wanted), side) {
            (Some(release), _) => {
                Ok(ComparedSpec { spec: release.spec.0.clone(), release: Some(release.clone()) })
            }
            (None, Compared::Draft) => {
                // As a deployment would freeze it now.
                let spec = app.spec.0.clone().frozen(platform);
                Ok(ComparedSpec { spec, release: None })
            }
            (None, Compared::Number(_)) => Err(Error::not_found("release")),
            (None, Compared::Live) => Err(Error::new(
                ErrorCode::NotFound,
                format!("no release of {} is live: say which ones to compare", app.slug),
            )),
        }
    };
    let [from, to] = pair;
    Ok([side(from)?, side(to)?])
}

/// The release that a rollback makes live again: it exists, it ran, and it is among the newest ten. One
/// statement.
pub(crate) async fn release_target(
    connection: &mut AsyncPgConnection,
    app: &App,
    target: RollbackTarget,
) -> Result<Release, Failure> {
    let of_app = releases::table.filter(releases::app_id.eq(app.id));
    let found = match target {
        RollbackTarget::Number(number) => {
            of_app
                .filter(releases::number.eq(number))
                .select(Release::as_select())
                .first(connection)
                .await
        }
        // Before the first verdict there is none: NULL is no release's id.
        RollbackTarget::Previous => {
            deployments::table
                .inner_join(releases::table)
                .filter(deployments::app_id.eq(app.id))
                .filter(deployments::status.eq(Status::Succeeded))
                .filter(deployments::kind.ne(Kind::Remove))
                .filter(deployments::release_id.ne(app.live_release_id))
                // An unchanged release was recorded, and never ran under its own number.
                .filter(deployments::reason_code.ne(ReasonCode::Unchanged))
                .order(deployments::id.desc())
                .select(Release::as_select())
                .first(connection)
                .await
        }
        RollbackTarget::Stable => {
            of_app
                .filter(releases::stable_at.is_not_null())
                .filter(releases::id.nullable().is_distinct_from(app.live_release_id))
                .order(releases::number.desc())
                .select(Release::as_select())
                .first(connection)
                .await
        }
    };
    let release: Release = found.optional()?.ok_or_else(|| target.missing(app))?;
    release.deployable(app.last_release)?;
    Ok(release)
}
