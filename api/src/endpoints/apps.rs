//! Apps. Creating and patching one changes what its next release will be; what runs changes by
//! deployments, removal included.

mod objects;
mod patch;

use db::apps::{AppDraft, AppRow, app_create, app_get, app_list, app_update};
use db::deployments::DeploymentRequest;
use model::Error;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::Tag;
use super::deployments::{Accepted, accept};
use crate::access::{AppAccess, EnvironmentAccess};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::idempotency::Key;
use crate::page::{PageObject, page_request};
use crate::problem::Problem;

pub(crate) use objects::{AppCreate, AppObject, AppUpdate, TaskObject};
pub(crate) use patch::AppPatch;

/// The endpoints of apps.
pub(crate) struct Apps;

/// The answer to a created app.
#[derive(ApiResponse)]
pub(crate) enum AppCreated {
    /// It is there; nothing runs before its first deployment.
    #[oai(status = 201)]
    Created(
        Json<AppObject>,
        /// Path of the app.
        #[oai(header = "Location")]
        String,
    ),
}

#[OpenApi(tag = "Tag::Apps")]
impl Apps {
    /// Make an app
    ///
    /// Its slug is its DNS name inside the environment's network: `{slug}` and `{slug}.internal`.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps",
        method = "post",
        operation_id = "app_create"
    )]
    async fn create(
        &self,
        EnvironmentAccess(access): EnvironmentAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<AppCreate>,
    ) -> Result<Done<AppCreated>, Problem> {
        let request = access.request(key.with(&body));
        let AppCreate { slug, replicas, spec } = body.value;
        let slug =
            slug.parse().map_err(|error: model::slug::InvalidSlug| Error::internal(error))?;
        let draft = AppDraft { spec: spec.try_into()?, replicas };
        let database = &access.state.database;
        let answer = |made: AppRow| {
            let location = format!("{}/apps/{slug}", access.path);
            kept(AppCreated::Created(Json(made.into()), location))
        };
        let answered = app_create(database, &access.scope, &slug, &draft, &request, answer).await?;
        Ok(Done::of(answered)?)
    }

    /// List the apps of an environment
    ///
    /// Oldest first.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps",
        method = "get",
        operation_id = "app_list"
    )]
    async fn list(
        &self,
        EnvironmentAccess(access): EnvironmentAccess,
        /// Most items of the page.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Where to start: the `next_cursor` of the page before.
        #[oai(validator(pattern = "^[0-7][0-9a-hjkmnp-tv-z]{25}$"))]
        cursor: Query<Option<String>>,
    ) -> Result<Json<PageObject<AppObject>>, Problem> {
        let page = page_request(limit.0, cursor.0.as_deref())?;
        let page = app_list(&access.state.database, &access.scope, page).await?;
        Ok(Json(PageObject::of(page, AppObject::from)))
    }

    /// Get an app with its live status
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app",
        method = "get",
        operation_id = "app_get"
    )]
    async fn get(&self, AppAccess(access): AppAccess) -> Result<Json<AppObject>, Problem> {
        let found = app_get(&access.state.database, &access.scope).await?;
        Ok(Json(found.into()))
    }

    /// Change what the app's next release will be
    ///
    /// A JSON merge patch (RFC 7396): what is absent stays, `null` sets the default (or removes the
    /// entry of a map), lists are replaced whole. Beside that, naming a `preset` of `update_policy`
    /// starts from the preset's values, and naming one of `http`, `tcp` and `command` of
    /// `health_check` replaces the other. What runs stays as it is until the next deployment.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app",
        method = "patch",
        operation_id = "app_update"
    )]
    async fn update(
        &self,
        AppAccess(access): AppAccess,
        body: Body<AppPatch>,
    ) -> Result<Json<AppObject>, Problem> {
        let database = &access.state.database;
        let change = |draft| body.value.apply(draft);
        app_update(database, &access.scope, change, &access.actor).await?;
        Ok(Json(app_get(database, &access.scope).await?.into()))
    }

    /// Remove an app
    ///
    /// Accepts a deployment that takes the app out of Swarm. The app takes no more changes from
    /// then on; its history stays.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app",
        method = "delete",
        operation_id = "app_remove"
    )]
    async fn remove(
        &self,
        AppAccess(access): AppAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Done<Accepted>, Problem> {
        accept(&access, &DeploymentRequest::Remove, key.alone()).await
    }
}
