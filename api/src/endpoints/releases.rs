//! Releases: immutable, so there is nothing to do but read them.

use chrono::{DateTime, Utc};
use db::releases::{ReleaseRow, release_get, release_list};
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use crate::access::{AppAccess, ReleaseInPath};
use crate::page::{PageObject, page_request};
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
        AppAccess(access): AppAccess,
        /// Most items of the page.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Where to start: the `next_cursor` of the page before.
        #[oai(validator(pattern = "^[0-7][0-9a-hjkmnp-tv-z]{25}$"))]
        cursor: Query<Option<String>>,
    ) -> Result<Json<PageObject<ReleaseObject>>, Problem> {
        let page = page_request(limit.0, cursor.0.as_deref())?;
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
        AppAccess(access): AppAccess,
        release: ReleaseInPath,
    ) -> Result<Json<ReleaseObject>, Problem> {
        let found = release_get(&access.state.database, &access.scope, release.0).await?;
        Ok(Json(found.into()))
    }
}
