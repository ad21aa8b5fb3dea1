//! Apps: one deployable workload in an environment. `spec` and `replicas` are what the tenant
//! wants next; `live_*` is what the last verdict left running.

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::capacity::Reserved;
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
    /// Swarm's version of its service as the last verdict saw it, or as the platform wrote it since: at
    /// another one it was written by somebody else, or by Swarm itself. `None`: not known.
    pub live_version: Option<i64>,
    /// What is kept for it.
    #[diesel(embed)]
    pub reserved: Reserved,
    /// Since when it is kept at no replicas; `replicas` is what it starts with again.
    pub stopped_at: Option<DateTime<Utc>>,
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
    /// Names what a request can change of the app: what its next release will be, its replicas, whether
    /// it is stopped, and whether it is to go. What else a verdict or an observation changes is another
    /// matter.
    pub fn version(&self) -> Result<String> {
        let changeable = (
            &self.spec.0,
            self.replicas,
            self.stopped_at.is_some(),
            self.removal_requested_at.is_some(),
        );
        let json = serde_json::to_vec(&changeable).map_err(Error::internal)?;
        let hash: [u8; 32] = Sha256::digest(json).into();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Ok(format!("{:016x}", u64::from_be_bytes(first)))
    }

    /// The replicas that a deployment of it runs.
    pub const fn running_replicas(&self) -> i32 {
        match self.stopped_at {
            Some(_) => 0,
            None => self.replicas,
        }
    }

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

    /// Why there is nothing to restart, scale, stop or start.
    pub fn nothing_deployed(&self) -> Error {
        Error::new(
            ErrorCode::NothingDeployed,
            format!(
                "nothing of {} is deployed: deploy it first; `replicas` can be set with PATCH \
                 before",
                self.slug
            ),
        )
    }

    /// Whether it runs something that can be restarted or scaled: a stopped app does not.
    pub fn started(&self) -> Result<()> {
        let Some(since) = self.stopped_at else { return Ok(()) };
        Err(Error::new(
            ErrorCode::AppStopped,
            format!(
                "{} is stopped since {}: start it first; `replicas` can be set with PATCH before",
                self.slug,
                since.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        ))
    }
}
