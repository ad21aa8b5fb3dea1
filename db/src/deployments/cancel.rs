//! Cancelling: a queued deployment ends at once; a driving one is asked to end, and its worker goes
//! back to what was live and says so. Touches nothing in Swarm.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::deployment::Deployment;
use model::error::ErrorCode;
use model::id::DeploymentId;
use model::policy::access::Action;
use model::reason::ReasonCode;
use model::schema::{deployment_events, deployments, releases};
use model::status::Status;
use model::{Error, Result};

use super::DeploymentRow;
use crate::apps::app_lock_any;
use crate::audit::Mutation;
use crate::failure::Failure;
use crate::ledger::app_unset;
use crate::now::now;
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::reservations::reservation_settle;
use crate::scope::AppScope;

/// Cancels a deployment of the app. Asked again, it answers the same; the audit log has every asking.
/// Refused for one that has ended, that is going back already, and for a removal that a worker has
/// begun.
pub async fn deployment_cancel(
    database: &Database,
    scope: &AppScope,
    id: DeploymentId,
    request: &Request,
    answer: impl Fn(DeploymentRow) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let organization = scope.organization.allowing(Action::AppDeploy)?;
    let mut connection = database.tenant(organization).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            // The app before the deployment, as everywhere.
            let app = app_lock_any(connection, scope, Action::AppDeploy).await?;
            let (deployment, release): (Deployment, Option<i32>) = deployments::table
                .left_join(releases::table)
                .filter(deployments::id.eq(id))
                .filter(deployments::app_id.eq(app.id))
                .select((Deployment::as_select(), releases::number.nullable()))
                .first(connection)
                .await
                .optional()?
                .ok_or_else(|| Error::not_found("deployment"))?;
            let before = deployment.status;
            let deployment = withdraw(connection, deployment).await?;
            let mutation = Mutation {
                organization: Some(app.organization_id),
                action: "deployment.cancel",
                object: id.to_string(),
                before: Some(serde_json::json!({ "status": before })),
                after: Some(serde_json::json!({ "app": app.id, "status": deployment.status })),
                deployment: None,
            };
            let row = DeploymentRow { deployment, release };
            request.finish(connection, mutation, answer(row)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Ends it or asks it to end, if neither was done before.
async fn withdraw(
    connection: &mut AsyncPgConnection,
    deployment: Deployment,
) -> Result<Deployment, Failure> {
    if deployment.status == Status::Canceled || deployment.cancel_requested_at.is_some() {
        return Ok(deployment);
    }
    deployment.cancelable()?;
    match deployment.status {
        Status::Queued if !takes_over(connection, &deployment).await? => {
            end(connection, &deployment).await
        }
        _ => ask(connection, &deployment).await,
    }
}

/// Whether the deployment has to take over what an older one left half done: one that was driving
/// when it was superseded, and has ended. One that still drives goes on instead.
async fn takes_over(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
) -> Result<bool, Failure> {
    let goes_on = diesel::update(
        deployments::table
            .filter(deployments::app_id.eq(deployment.app_id))
            .filter(deployments::superseded_by.eq(deployment.id))
            .filter(deployments::finished_at.is_null()),
    )
    .set((deployments::superseded_by.eq(None::<DeploymentId>), deployments::updated_at.eq(now())))
    .returning(Deployment::as_returning())
    .get_result(connection)
    .await
    .optional()?;
    if let Some(goes_on) = goes_on {
        let message = format!("goes on: the newer deployment {} was canceled", deployment.id);
        tell(connection, &goes_on, &message).await?;
        return Ok(false);
    }
    // What is left of the last one that a worker drove.
    let last: Option<Status> = deployments::table
        .filter(deployments::app_id.eq(deployment.app_id))
        .filter(deployments::started_at.is_not_null())
        .order(deployments::id.desc())
        .select(deployments::status)
        .first(connection)
        .await
        .optional()?;
    Ok(last == Some(Status::Superseded))
}

/// Ends a deployment that no worker has taken up.
async fn end(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
) -> Result<Deployment, Failure> {
    let sentence = "canceled by its owner before a worker took it up";
    // The claim takes the row without the app's lock: it may have been faster.
    let ended = diesel::update(
        deployments::table
            .filter(deployments::id.eq(deployment.id))
            .filter(deployments::status.eq(Status::Queued)),
    )
    .set((
        deployments::status.eq(Status::Canceled),
        deployments::reason_code.eq(ReasonCode::Canceled),
        deployments::reason.eq(sentence),
        deployments::finished_at.eq(now().nullable()),
        deployments::updated_at.eq(now()),
    ))
    .returning(Deployment::as_returning())
    .get_result(connection)
    .await
    .optional()?;
    match ended {
        Some(ended) => {
            app_unset(connection, &ended).await?;
            reservation_settle(connection, (ended.app_id, ended.id), false).await?;
            tell(connection, &ended, sentence).await?;
            Ok(ended)
        }
        None => ask(connection, deployment).await,
    }
}

/// Asks the worker that drives it.
async fn ask(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
) -> Result<Deployment, Failure> {
    let asked = diesel::update(
        deployments::table
            .filter(deployments::id.eq(deployment.id))
            .filter(deployments::status.ne(Status::RollingBack))
            .filter(deployments::finished_at.is_null()),
    )
    .set((deployments::cancel_requested_at.eq(now().nullable()), deployments::updated_at.eq(now())))
    .returning(Deployment::as_returning())
    .get_result(connection)
    .await
    .optional()?;
    let Some(asked) = asked else {
        return Err(Failure::Refused(Error::new(
            ErrorCode::NotCancelable,
            format!("the deployment {} came to its end in this moment; look at it", deployment.id),
        )));
    };
    tell(connection, &asked, "asked to end: canceled by its owner").await?;
    Ok(asked)
}

async fn tell(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
    message: &str,
) -> diesel::QueryResult<()> {
    diesel::insert_into(deployment_events::table)
        .values((
            deployment_events::organization_id.eq(deployment.organization_id),
            deployment_events::deployment_id.eq(deployment.id),
            deployment_events::status.eq(deployment.status),
            deployment_events::message.eq(message),
        ))
        .execute(connection)
        .await?;
    Ok(())
}
