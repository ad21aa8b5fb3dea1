//! What an app has written to disk.

use chrono::{DateTime, Utc};
use db::AppScope;
use db::app_disk::app_disk_get;
use model::disk::{AppDisk, DiskLevel, ReplicaDisk};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use crate::access::{Access, action};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoint of what apps write.
pub(crate) struct AppDisks;

/// What an app has written to disk, as it was measured last. Accounted: nothing stops a container from writing more.
#[derive(Debug, Default, Object)]
#[oai(rename = "AppDisk")]
pub(crate) struct AppDiskObject {
    /// When it was measured; `null`: not yet, or nothing of it runs.
    measured_at: Option<DateTime<Utc>>,
    /// How much of its disk the replica has written that has written most.
    level: Option<Word<DiskLevel>>,
    /// Since when.
    since: Option<DateTime<Utc>>,
    /// What that replica has written, in bytes.
    used_bytes: Option<i64>,
    /// What each replica may, in bytes: the live release's `disk`.
    limit_bytes: Option<i64>,
    /// Each replica whose node is reached.
    replicas: Vec<ReplicaDiskObject>,
}

/// What one replica has written.
#[derive(Debug, Object)]
#[oai(rename = "ReplicaDisk")]
pub(crate) struct ReplicaDiskObject {
    /// Swarm's id of its task.
    task: String,
    /// Swarm's id of its node.
    node: String,
    /// Its container's writable layer, in bytes; memory-backed directories are not in it.
    bytes: i64,
}

impl From<ReplicaDisk> for ReplicaDiskObject {
    fn from(replica: ReplicaDisk) -> Self {
        let ReplicaDisk { task, node, bytes } = replica;
        Self { task, node, bytes }
    }
}

impl From<AppDisk> for AppDiskObject {
    fn from(row: AppDisk) -> Self {
        Self {
            measured_at: Some(row.measured_at),
            level: Some(Word(row.level)),
            since: Some(row.since),
            used_bytes: Some(row.used_bytes),
            limit_bytes: Some(row.limit_bytes),
            replicas: row.replicas.0.into_iter().map(ReplicaDiskObject::from).collect(),
        }
    }
}

#[OpenApi(tag = "Tag::Apps")]
impl AppDisks {
    /// Get what an app has written to disk
    ///
    /// Measured every ten minutes. At 80 % of what a replica may have, and at 100 %, an event in the audit log says so (`app.disk`); what is
    /// done then is the platform's policy (`on_disk_full`).
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/disk",
        method = "get",
        operation_id = "app_disk_get"
    )]
    async fn get(
        &self,
        access: Access<action::AppRead, AppScope>,
    ) -> Result<Json<AppDiskObject>, Problem> {
        let found = app_disk_get(&access.state.database, &access.scope).await?;
        Ok(Json(found.map(AppDiskObject::from).unwrap_or_default()))
    }
}
