//! Releases: immutable, so there is nothing to do but read them.

use chrono::{DateTime, Utc};
use db::AppScope;
use db::releases::{Compared, ComparedSpec, ReleaseRow, release_get, release_list, release_pair};
use model::Error;
use model::release::diff::{Change, diff};
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::types::{Any, ToJSON as _};
use poem_openapi::{Object, OpenApi};
use serde_json::Value;

use super::Tag;
use crate::access::{Access, InPath, action};
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::spec::AppSpec;

/// The endpoints of releases.
pub(crate) struct Releases;

/// An immutable snapshot of an app.
#[derive(Debug, Object)]
#[oai(rename = "Release")]
pub(crate) struct ReleaseObject {
    /// Its id (`rel_…`).
    id: String,
    /// Its number in the app: 1, 2, …
    number: i32,
    /// The image as it was written.
    image: String,
    /// The image as it runs: `repository@sha256:…`, or `sha256:…` of a local one. `null`: it was
    /// never resolved, so the release never ran.
    resolved_image: Option<String>,
    /// The whole spec.
    spec: AppSpec,
    /// Whether the last verdict left it live.
    live: bool,
    /// When it was first live and healthy.
    stable_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<ReleaseRow> for ReleaseObject {
    fn from(ReleaseRow { release, live }: ReleaseRow) -> Self {
        let spec = release.spec.0;
        Self {
            id: release.id.to_string(),
            number: release.number,
            image: spec.image.clone(),
            resolved_image: release.resolved_image,
            spec: spec.into(),
            live,
            stable_at: release.stable_at,
            created_at: release.created_at,
        }
    }
}

/// What differs between two specs of an app.
#[derive(Debug, Object)]
pub(crate) struct ReleaseDiff {
    /// Number of the release that is compared; `null`: what the app's next release will be.
    from: Option<i32>,
    /// Number of the release that it is compared with; `null`: what the app's next release will be.
    to: Option<i32>,
    /// The fields that differ, by path; empty where the two would run the same.
    changes: Vec<ChangeObject>,
}

/// One field that differs.
#[derive(Debug, Object)]
#[oai(rename = "Change")]
pub(crate) struct ChangeObject {
    /// Path of the field as a release shows it, dotted: `env.NAME`, `health_check.http.path`. Two
    /// releases may differ in `resolved_image` alone: what their tag named had changed.
    path: String,
    /// What it is in `from`; `null`: it is not there.
    before: Option<Any<Value>>,
    /// What it is in `to`; `null`: it is not there.
    after: Option<Any<Value>>,
}

impl From<Change> for ChangeObject {
    fn from(Change { path, before, after }: Change) -> Self {
        Self { path, before: before.map(Any), after: after.map(Any) }
    }
}

impl From<[ComparedSpec; 2]> for ReleaseDiff {
    fn from(pair: [ComparedSpec; 2]) -> Self {
        // A draft is resolved when it is deployed: until then it has no image to compare.
        let resolved = pair.iter().all(|side| side.release.is_some());
        let [from, to] = pair.map(|side| {
            let mut json = AppSpec::from(side.spec).to_json().unwrap_or_default();
            let image = side.release.as_ref().and_then(|release| release.resolved_image.clone());
            if resolved {
                json["resolved_image"] = image.into();
            }
            (side.release.map(|release| release.number), json)
        });
        let changes = diff(&from.1, &to.1).into_iter().map(ChangeObject::from).collect();
        Self { from: from.0, to: to.0, changes }
    }
}

/// The side of a comparison that a query names. Its schema has let pass no other words.
fn compared(text: &str) -> Result<Compared, Error> {
    match text {
        "live" => Ok(Compared::Live),
        "draft" => Ok(Compared::Draft),
        number => {
            let number = number.parse().map_err(|_| Error::not_found("release"))?;
            Ok(Compared::Number(number))
        }
    }
}

#[OpenApi(tag = "Tag::Releases")]
impl Releases {
    /// List the releases of an app
    ///
    /// Newest first.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/releases",
        method = "get",
        operation_id = "release_list"
    )]
    async fn list(
        &self,
        access: Access<action::AppRead, AppScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<ReleaseObject>>, Problem> {
        let page = release_list(&access.state.database, &access.scope, page).await?;
        Ok(Json(PageObject::of(page, ReleaseObject::from)))
    }

    /// Get a release
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/releases/:release",
        method = "get",
        operation_id = "release_get"
    )]
    async fn get(
        &self,
        access: Access<action::AppRead, AppScope>,
        InPath(number): InPath<i32>,
    ) -> Result<Json<ReleaseObject>, Problem> {
        let found = release_get(&access.state.database, &access.scope, number).await?;
        Ok(Json(found.into()))
    }

    /// Tell what differs between two specs of an app
    ///
    /// Where neither is named: what a deployment would change now.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/diff",
        method = "get",
        operation_id = "release_diff"
    )]
    async fn diff(
        &self,
        access: Access<action::AppRead, AppScope>,
        /// What is compared: `live` (the default), `draft` (what the app's next release will be), or the
        /// number of a release.
        #[oai(validator(pattern = "^(live|draft|[1-9][0-9]{0,9})$"))]
        from: Query<Option<String>>,
        /// What it is compared with; `draft` where it is not given.
        #[oai(validator(pattern = "^(live|draft|[1-9][0-9]{0,9})$"))]
        to: Query<Option<String>>,
    ) -> Result<Json<ReleaseDiff>, Problem> {
        let from = from.0.as_deref().map_or(Ok(Compared::Live), compared)?;
        let to = to.0.as_deref().map_or(Ok(Compared::Draft), compared)?;
        let state = &access.state;
        let pair =
            release_pair(&state.database, &state.platform, &access.scope, [from, to]).await?;
        Ok(Json(pair.into()))
    }
}
