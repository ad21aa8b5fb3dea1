//! Apps. Creating and patching one changes what its next release will be; what runs changes by
//! deployments, removal included.

mod objects;
mod patch;

use db::apps::{AppDraft, AppRow, app_create, app_get, app_list, app_update};
use db::deployments::DeploymentRequest;
use db::{AppScope, EnvironmentScope};
use model::Error;
use poem_openapi::{ApiResponse, OpenApi};

use super::Tag;
use super::deployments::{Accepted, accept_expected};
use crate::access::{Access, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::entity_tag::{IfMatch, IfNoneMatch, tagged};
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::state::State;
use crate::written::Written;

pub(crate) use objects::{AppCreate, AppObject, AppSummaryObject, AppUpdate, TaskObject};
pub(crate) use patch::AppPatch;

/// The endpoints of apps.
pub(crate) struct Apps;

/// The answer to a created app.
#[derive(ApiResponse)]
pub(crate) enum AppCreated {
    /// It is there; nothing runs before its first deployment.
    #[oai(status = 201)]
    Created(
        Written<AppObject>,
        /// Path of the app.
        #[oai(header = "Location")]
        String,
        /// Names the app as it is here.
        #[oai(header = "ETag")]
        String,
    ),
}

/// The answer to who asked for an app.
#[derive(ApiResponse)]
pub(crate) enum AppFound {
    /// The app.
    #[oai(status = 200)]
    Found(
        Written<AppObject>,
        /// Names the app as it is here: for `If-None-Match` of the next GET, and for `If-Match` of a
        /// change that is meant for no other.
        #[oai(header = "ETag")]
        String,
    ),
    /// It is as one of the tags in `If-None-Match` names it.
    #[oai(status = 304)]
    Unchanged(
        /// Names the app as it is.
        #[oai(header = "ETag")]
        String,
    ),
}

/// The answer to a changed app.
#[derive(ApiResponse)]
pub(crate) enum AppChanged {
    /// It is so from now on.
    #[oai(status = 200)]
    Changed(
        Written<AppObject>,
        /// Names the app as it is here.
        #[oai(header = "ETag")]
        String,
    ),
}

/// The app as it is answered, and its tag.
fn written(row: AppRow) -> Result<(Written<AppObject>, String), Error> {
    let version = row.app.version()?;
    tagged(&AppObject::from(row), &version)
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
        access: Access<action::AppManage, EnvironmentScope>,
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
        let State { database, platform, .. } = &*access.state;
        let answer = |made: AppRow| {
            let location = format!("{}/apps/{slug}", access.path);
            let (app, tag) = written(made)?;
            kept(AppCreated::Created(app, location, tag))
        };
        let answered =
            app_create(database, platform, &access.scope, &slug, draft, &request, answer).await?;
        Ok(Done::of(answered)?)
    }

    /// List the apps of an environment
    ///
    /// Oldest first. An item tells an app from others, and how it does; its spec and its tasks are in the
    /// answer to a GET of the app.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps",
        method = "get",
        operation_id = "app_list"
    )]
    async fn list(
        &self,
        access: Access<action::AppRead, EnvironmentScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Written<PageObject<AppSummaryObject>>, Problem> {
        let page = app_list(&access.state.database, &access.scope, page).await?;
        Ok(Written::of(&PageObject::of(page, AppSummaryObject::from))?)
    }

    /// Get an app with its live status
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app",
        method = "get",
        operation_id = "app_get"
    )]
    async fn get(
        &self,
        access: Access<action::AppRead, AppScope>,
        /// Tags of the answers that the caller has: 304 where the app is still so.
        #[oai(name = "If-None-Match")]
        if_none_match: IfNoneMatch,
    ) -> Result<AppFound, Problem> {
        let (app, tag) = written(app_get(&access.state.database, &access.scope).await?)?;
        if if_none_match.has(&tag) {
            return Ok(AppFound::Unchanged(tag));
        }
        Ok(AppFound::Found(app, tag))
    }

    /// Change what the app's next release will be
    ///
    /// A JSON merge patch (RFC 7396): what is absent stays, `null` sets the default (or removes the
    /// entry of a map), lists are replaced whole. Beside that, naming a `preset` of `update_policy`
    /// starts from the preset's values, and naming one of `http`, `tcp` and `command` of
    /// `health_check` replaces the other. What runs stays as it is until the next deployment.
    ///
    /// With the `ETag` of a GET as `If-Match`, the patch is applied to what was read or not at all. Live
    /// status may have changed meanwhile: the tag's part before the dot decides.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app",
        method = "patch",
        operation_id = "app_update"
    )]
    async fn update(
        &self,
        access: Access<action::AppManage, AppScope>,
        /// The `ETag` of the app that this is meant for; 412 where the app has changed since.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Body<AppPatch>,
    ) -> Result<AppChanged, Problem> {
        let State { database, platform, .. } = &*access.state;
        let change = |draft| body.value.apply(draft);
        let request = db::Request { expected: if_match.expected(), ..access.request(None) };
        app_update(database, platform, &access.scope, change, &request).await?;
        let (app, tag) = written(app_get(database, &access.scope).await?)?;
        Ok(AppChanged::Changed(app, tag))
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
        access: Access<action::AppRemove, AppScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        /// The `ETag` of the app that this is meant for; 412 where the app has changed since.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<Done<Accepted>, Problem> {
        let expected = if_match.expected();
        accept_expected(&access, &DeploymentRequest::Remove, key.alone(), expected).await
    }
}
