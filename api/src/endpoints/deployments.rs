//! Deployments: accepted, listed, followed to their verdict.

mod objects;
mod release_named;

use std::time::Duration;

use db::deployments::{
    DeploymentRequest, DeploymentRow, deployment_accept, deployment_cancel, deployment_detail,
    deployment_get, deployment_list,
};
use db::{AppScope, Expected, IdempotencyKey};
use model::id::DeploymentId;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use tokio::time::{Instant, sleep_until};

use super::Tag;
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::entity_tag::IfMatch;
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
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
pub(super) async fn accept<A>(
    access: &Access<A, AppScope>,
    wanted: &DeploymentRequest,
    key: Option<IdempotencyKey>,
) -> Result<Done<Accepted>, Problem> {
    accept_expected(access, wanted, key, Expected::Any).await
}

/// Accepts a deployment of the app as it is expected to be.
pub(super) async fn accept_expected<A>(
    access: &Access<A, AppScope>,
    wanted: &DeploymentRequest,
    key: Option<IdempotencyKey>,
    expected: Expected,
) -> Result<Done<Accepted>, Problem> {
    let Access { scope, state, path, .. } = access;
    let answer = |row: DeploymentRow| {
        let location = format!("{path}/deployments/{}", row.deployment.id);
        kept(Accepted::Accepted(Json(row.into()), location))
    };
    let request = db::Request { expected, ..access.request(key) };
    let answered =
        deployment_accept(&state.database, &state.platform, scope, wanted, &request, answer)
            .await?;
    // For an answer that is repeated it is one look too many at the outbox.
    state.relay.wake();
    Ok(Done::of(answered)?)
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
        access: Access<action::AppDeploy, AppScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<DeploymentCreate>,
    ) -> Result<Done<Accepted>, Problem> {
        let key = key.with(&body);
        accept(&access, &body.value.into(), key).await
    }

    /// Roll an app back
    ///
    /// Makes an older release live again: the one that was live before, or the one that is named. Refused
    /// with `not_deployable` where that one never ran or is past retention (the newest ten are kept), with
    /// `invalid` where its spec breaks a rule of today, and with `already_live` where it is what is live.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/rollback",
        method = "post",
        operation_id = "app_rollback"
    )]
    async fn rollback(
        &self,
        access: Access<action::AppDeploy, AppScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<RollbackCreate>,
    ) -> Result<Done<Accepted>, Problem> {
        let key = key.with(&body);
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
        access: Access<action::AppDeploy, AppScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        /// The `ETag` of the app that this is meant for; 412 where the app has changed since.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Body<ScaleCreate>,
    ) -> Result<Done<Accepted>, Problem> {
        let key = key.with(&body);
        accept_expected(&access, &body.value.into(), key, if_match.expected()).await
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
        access: Access<action::AppDeploy, AppScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Done<Accepted>, Problem> {
        accept(&access, &DeploymentRequest::Restart, key.alone()).await
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
        access: Access<action::AppDeploy, AppScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Done<Accepted>, Problem> {
        accept(&access, &DeploymentRequest::Stop { why: None }, key.alone()).await
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
        access: Access<action::AppDeploy, AppScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Done<Accepted>, Problem> {
        accept(&access, &DeploymentRequest::Start, key.alone()).await
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
        access: Access<action::AppDeploy, AppScope>,
        InPath(id): InPath<DeploymentId>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Done<Canceled>, Problem> {
        let request = access.request(key.alone());
        let Access { scope, state, path, .. } = &access;
        let answer = |row: DeploymentRow| {
            kept(Canceled::Accepted(Json(row.into()), format!("{path}/deployments/{id}")))
        };
        let answered = deployment_cancel(&state.database, scope, id, &request, answer).await?;
        Ok(Done::of(answered)?)
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
        access: Access<action::AppRead, AppScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<DeploymentObject>>, Problem> {
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
        access: Access<action::AppRead, AppScope>,
        InPath(id): InPath<DeploymentId>,
        /// Most seconds to wait for the end.
        #[oai(validator(minimum(value = "0"), maximum(value = "60")))]
        wait: Query<Option<u32>>,
    ) -> Result<Json<DeploymentDetailObject>, Problem> {
        if let Some(seconds) = wait.0.filter(|seconds| *seconds > 0) {
            wait_for_end(&access, id, Duration::from_secs(seconds.into())).await?;
        }
        let detail = deployment_detail(&access.state.database, &access.scope, id).await?;
        Ok(Json(detail.into()))
    }
}

/// Returns when the deployment has ended, or the time is over, or the process stops (the caller
/// asks another one then).
async fn wait_for_end<A>(
    access: &Access<A, AppScope>,
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
