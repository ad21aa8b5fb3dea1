//! Accepting a repair: the platform's own deployment of what the last verdict left live, after somebody
//! else changed it. Nobody's token asks for it, and it never takes the place of what a tenant asked for.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::Result;
use model::app::App;
use model::audit::{AuditEntry, AuditResult};
use model::deployment::Kind;
use model::id::{AppId, AuditId, DeploymentId};
use model::schema::{apps, audit_log, deployments, releases};

use super::insert::{Attempt, deployment_insert};
use crate::failure::Failure;
use crate::pool::Database;

/// Who asked, in the audit log: no request did.
const RECONCILER: &str = "reconcile";

/// Accepts a repair of the app, which was decided upon when the last verdict's version of its service was
/// `live_version`. `None`: there has been another verdict since, a deployment is under way, or the app was
/// repaired so often lately that it has to wait: 1 min after the first repair, then twice as long each
/// time, up to an hour. Repairs count since `since`; `None`: those of a day.
pub async fn deployment_repair(
    database: &Database,
    app: AppId,
    live_version: Option<i64>,
    why: &str,
    since: Option<DateTime<Utc>>,
) -> Result<Option<DeploymentId>> {
    let mut connection = database.connection().await?;
    let accepted = connection
        .transaction(async |connection| {
            let app: App = apps::table
                .find(app)
                .select(App::as_select())
                .for_no_key_update()
                .first(connection)
                .await?;
            let Some(release) = app.live_release_id else { return Ok(None) };
            let overtaken = app.removal_requested_at.is_some()
                || app.live_version != live_version
                || is_busy(connection, app.id).await?
                || has_to_wait(connection, app.id, since).await?;
            if overtaken {
                return Ok(None);
            }
            let spec_version: i16 = releases::table
                .find(release)
                .select(releases::spec_version)
                .first(connection)
                .await?;
            let attempt = Attempt {
                id: DeploymentId::new(),
                kind: Kind::Repair,
                release: Some(release),
                replicas: app.live_replicas.unwrap_or(app.replicas),
                restart_counter: app.live_restart_counter,
                force: false,
                // What is kept for what is live: there is no other deployment.
                need: app.reserved,
                spec_version,
                requested_by: None,
            };
            let deployment = deployment_insert(connection, &app, attempt, why).await?;
            diesel::insert_into(audit_log::table)
                .values(&AuditEntry {
                    id: AuditId::new(),
                    organization_id: Some(app.organization_id),
                    token_id: None,
                    user_id: None,
                    action: "app.repair".to_owned(),
                    object: app.id.to_string(),
                    before: Some(serde_json::json!({ "found": why })),
                    after: Some(serde_json::json!({ "deployment": deployment.id })),
                    request_id: RECONCILER.to_owned(),
                    address: None,
                    result: AuditResult::Done,
                })
                .execute(connection)
                .await?;
            Ok::<_, Failure>(Some(deployment.id))
        })
        .await?;
    Ok(accepted)
}

async fn is_busy(connection: &mut AsyncPgConnection, app: AppId) -> diesel::QueryResult<bool> {
    let unfinished = deployments::table
        .filter(deployments::app_id.eq(app))
        .filter(deployments::finished_at.is_null());
    diesel::select(diesel::dsl::exists(unfinished)).get_result(connection).await
}

/// Whoever keeps changing a service by hand and the platform would else take turns for ever.
async fn has_to_wait(
    connection: &mut AsyncPgConnection,
    app: AppId,
    since: Option<DateTime<Utc>>,
) -> diesel::QueryResult<bool> {
    let waits: Waits = diesel::sql_query(
        "SELECT coalesce(max(created_at) + make_interval(secs =>
                 least(60 * 2 ^ (count(*) - 1), 3600)) > now(), false) AS waits
         FROM deployments
         WHERE app_id = $1 AND kind = 'repair' AND created_at > coalesce($2, now() - interval '24 hours')",
    )
    .bind::<sql_types::Uuid, _>(app)
    .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(since)
    .get_result(connection)
    .await?;
    Ok(waits.waits)
}

#[derive(QueryableByName)]
struct Waits {
    #[diesel(sql_type = sql_types::Bool)]
    waits: bool,
}
