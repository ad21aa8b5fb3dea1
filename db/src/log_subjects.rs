//! Whose logs are asked for: what a worker has to know to find the tasks. It is told ids, and trusts nothing else.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use model::Result;
use model::id::{AppId, DeploymentId};

use crate::failure;
use crate::pool::Database;

/// Tasks of a service that were made within a time.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LogSubject {
    /// The service's name.
    #[diesel(sql_type = Text)]
    pub service: String,
    /// Made from then on.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub from: Option<DateTime<Utc>>,
    /// Made before then.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub to: Option<DateTime<Utc>>,
    /// There are none yet: the deployment was not taken up.
    #[diesel(sql_type = Bool)]
    pub is_awaited: bool,
}

/// The tasks of an app; of a deployment, those that were made from when it was taken up until the next one was. `None`: there is no such
/// app, or the deployment is not its, or ended without being taken up. For workers.
pub async fn log_subject(
    database: &Database,
    app: AppId,
    deployment: Option<DeploymentId>,
) -> Result<Option<LogSubject>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT a.service_name AS service, d.started_at AS \"from\", (
             SELECT min(n.started_at) FROM deployments n
             WHERE n.app_id = a.id AND d.id IS NOT NULL AND n.id <> d.id AND n.started_at > d.started_at
         ) AS \"to\", d.id IS NOT NULL AND d.started_at IS NULL AS is_awaited
         FROM apps a LEFT JOIN deployments d ON d.id = $2 AND d.app_id = a.id
         WHERE a.id = $1 AND ($2 IS NULL OR (d.id IS NOT NULL AND (d.started_at IS NOT NULL OR d.finished_at IS NULL)))",
    )
    .bind::<Uuid, _>(app)
    .bind::<Nullable<Uuid>, _>(deployment)
    .get_result(&mut connection)
    .await
    .optional()
    .map_err(failure::postgres)
}
