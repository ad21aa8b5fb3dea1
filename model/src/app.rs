//! Apps: one deployable workload in an environment. `spec` and `replicas` are what the tenant
//! wants next; `live_*` is what the last verdict left running.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::error::ErrorCode;
use crate::id::{AppId, EnvironmentId, OrganizationId, ReleaseId};
use crate::schema::apps;
use crate::spec::AppSpec;
use crate::stored::Stored;
use crate::{Error, Result};

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
    /// Whether it takes changes: not any more once its removal was accepted.
    pub fn takes_changes(&self) -> Result<()> {
        if self.removal_requested_at.is_none() {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::BeingRemoved,
            format!("the app {} is being removed and takes no more changes", self.slug),
        ))
    }

    /// Why there is nothing to roll back to.
    pub fn nothing_before(&self) -> Error {
        Error::new(
            ErrorCode::NothingDeployed,
            format!(
                "no other release of {} was ever live: there is nothing to go back to",
                self.slug
            ),
        )
    }

    /// Why there is nothing to scale.
    pub fn nothing_deployed(&self) -> Error {
        Error::new(
            ErrorCode::NothingDeployed,
            format!(
                "nothing of {} is deployed: deploy it first, or set replicas with PATCH for the \
                 first deployment",
                self.slug
            ),
        )
    }
}
