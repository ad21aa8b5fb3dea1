//! Deployments as tenants see them: accepted, listed, inspected. What drives them is `ledger`.

mod accept;
mod cancel;
mod insert;
pub(crate) mod refresh;
mod repair;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use model::deployment::{Deployment, DeploymentEvent};
use model::evidence::Evidence;
use model::id::DeploymentId;
use model::policy::access::Action;
use model::schema::{
    apps, deployment_events, deployment_evidence, deployments, environments, releases,
};
use model::stored::Stored;
use model::{Error, Result};

pub use accept::{DeploymentRequest, deployment_accept};
pub use cancel::deployment_cancel;
pub use repair::deployment_repair;

use crate::apps::app_get;
use crate::failure;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::scope::{AppScope, named};
use crate::segment::Segment;

/// A deployment with the number of its release.
#[derive(Debug, Clone, Queryable)]
pub struct DeploymentRow {
    /// The deployment.
    pub deployment: Deployment,
    /// Number of its release; `None` for a removal.
    pub release: Option<i32>,
}

/// Everything that is known of one deployment.
#[derive(Debug, Clone)]
pub struct DeploymentDetail {
    /// The deployment.
    pub row: DeploymentRow,
    /// Its timeline, oldest first.
    pub events: Vec<DeploymentEvent>,
    /// What was seen when it went wrong, and when.
    pub evidence: Option<(Evidence, DateTime<Utc>)>,
}

/// The deployments of an app, newest first.
pub async fn deployment_list(
    database: &Database,
    scope: &AppScope,
    page: PageRequest,
) -> Result<Page<DeploymentRow>> {
    let app = app_get(database, scope).await?.app;
    let mut connection = database.tenant(app.organization_id).await?;
    let mut query = deployments::table
        .left_join(releases::table)
        .filter(deployments::app_id.eq(app.id))
        .select((Deployment::as_select(), releases::number.nullable()))
        .order(deployments::id.desc())
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(deployments::id.lt(DeploymentId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |row: &DeploymentRow| row.deployment.id.as_uuid()))
}

/// One deployment of the app: of one that is removed, too, so that its removal can be followed to
/// the end.
pub async fn deployment_get(
    database: &Database,
    scope: &AppScope,
    id: DeploymentId,
) -> Result<DeploymentRow> {
    let organization = scope.organization.allowing(Action::AppRead)?;
    let mut connection = database.tenant(organization).await?;
    let query = deployments::table
        .inner_join(apps::table.inner_join(environments::table))
        .left_join(releases::table)
        .filter(deployments::organization_id.eq(organization))
        .filter(deployments::id.eq(id))
        .select((Deployment::as_select(), releases::number.nullable()))
        .into_boxed();
    let query = named!(query, environments, &scope.environment);
    named!(query, apps, &scope.app)
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?
        .ok_or_else(|| Error::not_found("deployment"))
}

/// One deployment with its timeline and evidence.
pub async fn deployment_detail(
    database: &Database,
    scope: &AppScope,
    id: DeploymentId,
) -> Result<DeploymentDetail> {
    let row = deployment_get(database, scope, id).await?;
    let mut connection = database.tenant(row.deployment.organization_id).await?;
    let events = deployment_events::table
        .filter(deployment_events::deployment_id.eq(id))
        .order(deployment_events::id)
        .select(DeploymentEvent::as_select())
        .load(&mut connection)
        .await
        .map_err(failure::postgres)?;
    let evidence: Option<(Stored<Evidence>, DateTime<Utc>)> = deployment_evidence::table
        .find(id)
        .select((deployment_evidence::evidence, deployment_evidence::updated_at))
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?;
    let evidence = evidence.map(|(Stored(evidence), at)| (evidence, at));
    Ok(DeploymentDetail { row, events, evidence })
}
