//! Apps: one deployable workload in an environment. `spec` and `replicas` are what the tenant
//! wants next; `live_*` is what the last verdict left running.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::id::{AppId, EnvironmentId, OrganizationId, ReleaseId};
use crate::schema::apps;
use crate::spec::AppSpec;
use crate::stored::Stored;

/// Most replicas of an app.
pub const MAX_REPLICAS: i32 = 100;

/// An app's row.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = apps)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// Its environment.
    pub environment_id: EnvironmentId,
    /// Its DNS name in the environment's network.
    pub slug: String,
    /// The name of its Swarm service.
    pub service_name: String,
    /// What the next release will freeze.
    pub spec: Stored<AppSpec>,
    /// Version of `spec`'s form.
    pub spec_version: i16,
    /// Replicas that should run.
    pub replicas: i32,
    /// Number of the newest release; 0 before the first.
    pub last_release: i32,
    /// The release that the last verdict left live.
    pub live_release_id: Option<ReleaseId>,
    /// The restart counter that it runs with.
    pub live_restart_counter: i64,
    /// The replicas that it was verified with.
    pub live_replicas: Option<i32>,
    /// When its removal was accepted.
    pub removal_requested_at: Option<DateTime<Utc>>,
    /// When it was gone from Swarm.
    pub removed_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}

impl App {
    /// Names what a request can change of the app: what its next release will be, its replicas, and
    /// whether it is to go. What a verdict or an observation changes is another matter.
    pub fn version(&self) -> Result<String> {
        let changeable = (&self.spec.0, self.replicas, self.removal_requested_at.is_some());
        let json = serde_json::to_vec(&changeable).map_err(Error::internal)?;
        let hash: [u8; 32] = Sha256::digest(json).into();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Ok(format!("{:016x}", u64::from_be_bytes(first)))
    }
}
