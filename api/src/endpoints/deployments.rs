//! Deployments: accepted, listed, followed to their verdict.

mod objects;

use std::time::Duration;

use db::AppScope;
use db::deployments::{
    DeploymentRequest, IdempotencyKey, deployment_accept, deployment_cancel, deployment_detail,
    deployment_get, deployment_list,
};
use model::id::DeploymentId;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use tokio::time::{Instant, sleep_until};

use super::Tag;
use crate::access::{Access, AppAccess, DeploymentInPath};
use crate::body::Body;
use crate::idempotency::Key;
use crate::page::{PageObject, page_request};
use crate::problem::Problem;

pub(crate) use objects::{
    DeploymentCreate, DeploymentDetailObject, DeploymentObject, RollbackCreate, ScaleCreate,
};

/// Longest wait for a deployment, in seconds.
pub(crate) const MAX_WAIT: u32 = 60;
/// How often a waiting request looks without having been told.
const LOOK: Duration = Duration::from_secs(2);

/// The endpoints of deployments.
pub(crate) struct Deployments;

/// The answer to an accepted deployment.
#[derive(ApiResponse)]
pub(crate) enum Accepted {
    /// It is committed: it will reach a verdict, whatever fails meanwhile.
    #[oai(status = 202)]
    Accepted(
        Json<DeploymentObject>,
        /// Path of the deployment.
        #[oai(header = "Location")]
        String,
        /// `true` where an earlier request with the same key was accepted, and this one changed
        /// nothing.
        #[oai(header = "Idempotency-Replayed")]
        Option<bool>,
    ),
}

/// The answer to a cancelled deployment.
#[derive(ApiResponse)]
enum Canceled {
    /// It has ended, or its worker was asked to end it.
    #[oai(status = 202)]
    Accepted(
        Json<DeploymentObject>,
        /// Path of the deployment.
        #[oai(header = "Location")]
        String,
    ),
}

/// Accepts a deployment.
pub(super) async fn accept(
    access: &Access<AppScope>,
    request: &DeploymentRequest,
    key: Option<IdempotencyKey>,
) -> Result<Accepted, Problem> {
    let Access { scope, actor, state, path } = access;
    let accepted = deployment_accept(&state.database, scope, request, key.as_ref(), actor).await?;
    if !accepted.replayed {
        state.relay.wake();
    }
    let location = format!("{path}/deployments/{}", accepted.row.deployment.id);
    let replayed = accepted.replayed.then_some(true);
    Ok(Accepted::Accepted(Json(accepted.row.into()), location, replayed))
}

#[OpenApi(tag = "Tag::Deployments")]
impl Deployments {
    /// Deploy an app
    ///
    /// Freezes the app into a new release and makes it live. `image` becomes the app's image
    /// first; `release` makes that older release live instead. A queued deployment of the app is
    /// superseded, and so is one in progress.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/deployments",
        method = "post",
        operation_id = "deployment_create"
    )]
    async fn create(
        &self,
        AppAccess(access): AppAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<DeploymentCreate>,
    ) -> Result<Accepted, Problem> {
        let key = key.of("POST", &format!("{}/deployments", access.path), body.hash());
        accept(&access, &body.value.into(), key).await
    }

    /// Roll an app back
    ///
    /// Makes an older release live again: the one that was live before, or the one that is named.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/rollback",
        method = "post",
        operation_id = "app_rollback"
    )]
    async fn rollback(
        &self,
        AppAccess(access): AppAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<RollbackCreate>,
    ) -> Result<Accepted, Problem> {
        let key = key.of("POST", &format!("{}/rollback", access.path), body.hash());
        accept(&access, &body.value.into(), key).await
    }

    /// Scale an app
    ///
    /// Runs the live release (or the one on its way in) with another number of replicas.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/scale",
        method = "post",
        operation_id = "app_scale"
    )]
    async fn scale(
        &self,
        AppAccess(access): AppAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<ScaleCreate>,
    ) -> Result<Accepted, Problem> {
        let key = key.of("POST", &format!("{}/scale", access.path), body.hash());
        accept(&access, &body.value.into(), key).await
    }

    /// Restart an app
    ///
    /// Replaces the tasks of the live release (or the one on its way in), as its update policy says.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/restart",
        method = "post",
        operation_id = "app_restart"
    )]
    async fn restart(
        &self,
        AppAccess(access): AppAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Accepted, Problem> {
        let key = key.of("POST", &format!("{}/restart", access.path), [0; 32]);
        accept(&access, &DeploymentRequest::Restart, key).await
    }

    /// Stop an app
    ///
    /// Runs no replicas until the app is started again; deployments meanwhile make their release
    /// live with none.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/stop",
        method = "post",
        operation_id = "app_stop"
    )]
    async fn stop(
        &self,
        AppAccess(access): AppAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Accepted, Problem> {
        let key = key.of("POST", &format!("{}/stop", access.path), [0; 32]);
        accept(&access, &DeploymentRequest::Stop, key).await
    }

    /// Start a stopped app
    ///
    /// Runs the app's `replicas` again.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/start",
        method = "post",
        operation_id = "app_start"
    )]
    async fn start(
        &self,
        AppAccess(access): AppAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Accepted, Problem> {
        let key = key.of("POST", &format!("{}/start", access.path), [0; 32]);
        accept(&access, &DeploymentRequest::Start, key).await
    }

    /// Cancel a deployment
    ///
    /// A queued one ends at once. One in progress is asked to end: what was live before comes back
    /// and is verified, and the deployment ends as `canceled`. Asked again, it answers the same.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/deployments/:deployment/cancel",
        method = "post",
        operation_id = "deployment_cancel"
    )]
    async fn cancel(
        &self,
        AppAccess(access): AppAccess,
        deployment: DeploymentInPath,
    ) -> Result<Canceled, Problem> {
        let Access { scope, actor, state, path } = &access;
        let DeploymentInPath(id) = deployment;
        let row = deployment_cancel(&state.database, scope, id, actor).await?;
        let location = format!("{path}/deployments/{id}");
        Ok(Canceled::Accepted(Json(row.into()), location))
    }

    /// List the deployments of an app
    ///
    /// Newest first.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/deployments",
        method = "get",
        operation_id = "deployment_list"
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
    ) -> Result<Json<PageObject<DeploymentObject>>, Problem> {
        let page = page_request(limit.0, cursor.0.as_deref())?;
        let page = deployment_list(&access.state.database, &access.scope, page).await?;
        Ok(Json(PageObject::of(page, DeploymentObject::from)))
    }

    /// Get a deployment with its timeline and evidence
    ///
    /// `wait` answers when the deployment has ended, or after that many seconds. The deployments
    /// of an app that was removed can still be read.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/deployments/:deployment",
        method = "get",
        operation_id = "deployment_get"
    )]
    async fn get(
        &self,
        AppAccess(access): AppAccess,
        deployment: DeploymentInPath,
        /// Most seconds to wait for the end.
        #[oai(validator(minimum(value = "0"), maximum(value = "60")))]
        wait: Query<Option<u32>>,
    ) -> Result<Json<DeploymentDetailObject>, Problem> {
        let DeploymentInPath(id) = deployment;
        if let Some(seconds) = wait.0.filter(|seconds| *seconds > 0) {
            wait_for_end(&access, id, Duration::from_secs(seconds.into())).await?;
        }
        let detail = deployment_detail(&access.state.database, &access.scope, id).await?;
        Ok(Json(detail.into()))
    }
}

/// Returns when the deployment has ended, or the time is over, or the process stops (the caller
/// asks another one then).
async fn wait_for_end(
    access: &Access<AppScope>,
    id: DeploymentId,
    longest: Duration,
) -> Result<(), Problem> {
    let end = Instant::now() + longest;
    let mut hearing = access.state.changes.hear();
    loop {
        let row = deployment_get(&access.state.database, &access.scope, id).await?;
        let now = Instant::now();
        let stopping = &access.state.stopping;
        if row.deployment.status.is_terminal() || now >= end || stopping.is_cancelled() {
            return Ok(());
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            () = hearing.changed(id) => {}
            () = sleep_until(end.min(now + LOOK)) => {}
        }
    }
}
