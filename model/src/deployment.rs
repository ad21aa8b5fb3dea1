//! Deployments: one attempt to change what runs, of any kind, with its verdict.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::error::ErrorCode;
use crate::id::{AppId, DeploymentId, OrganizationId, ReleaseId, TokenId, WorkerId};
use crate::reason::ReasonCode;
use crate::schema::{deployment_events, deployments};
use crate::status::Status;
use crate::text_enum::text_enum;
use crate::{Error, Result};

text_enum! {
    /// What a deployment attempts.
    pub enum Kind {
        /// Make a new release live.
        Deploy => "deploy",
        /// Make an older release live again.
        Rollback => "rollback",
        /// Replace the tasks of the live release.
        Restart => "restart",
        /// Run the live release with another number of replicas.
        Scale => "scale",
        /// Run no replicas until the app is started again.
        Stop => "stop",
        /// Run the replicas of a stopped app again.
        Start => "start",
        /// Remove the app from Swarm.
        Remove => "remove",
        /// Bring back what the last verdict left live, after somebody else changed it: the platform's own.
        Repair => "repair",
    }
}

/// What this version's workers know how to drive. A worker claims nothing that needs more.
pub const WORK_VERSION: i16 = 4;

impl Kind {
    /// The first [`WORK_VERSION`] whose workers know this kind.
    pub const fn work_version(self) -> i16 {
        match self {
            Self::Deploy | Self::Rollback | Self::Scale | Self::Remove => 1,
            Self::Restart | Self::Stop | Self::Start => 2,
            Self::Repair => 3,
        }
    }
}

/// A deployment's row.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable, Identifiable)]
#[diesel(table_name = deployments)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// Its app.
    pub app_id: AppId,
    /// The release that it makes live; `None` for a removal.
    pub release_id: Option<ReleaseId>,
    /// What it attempts.
    pub kind: Kind,
    /// How far it is.
    pub status: Status,
    /// Why it ended so, or is being rolled back.
    pub reason_code: Option<ReasonCode>,
    /// The same in a sentence.
    pub reason: Option<String>,
    /// Replicas that should run.
    pub replicas: i32,
    /// Swarm's ForceUpdate counter: raised, it restarts tasks of an unchanged spec.
    pub restart_counter: i64,
    /// Whether an unchanged release is restarted.
    pub force: bool,
    /// What a worker has to know to drive it: the release's spec and the kind ([`WORK_VERSION`]).
    pub spec_version: i16,
    /// The token that asked for it; `None`: nobody did, and the platform repairs, or ends the organization.
    pub requested_by: Option<TokenId>,
    /// The newer deployment that asked this one to end.
    pub superseded_by: Option<DeploymentId>,
    /// When its owner asked it to end.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Number of the claim that drives it; grows with every claim.
    pub fence: i64,
    /// The worker that drives it.
    pub lease_owner: Option<WorkerId>,
    /// Until when, by Postgres's clock.
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// When it was first claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When Swarm took its spec.
    pub applied_at: Option<DateTime<Utc>>,
    /// When its newest replica became healthy.
    pub progressed_at: Option<DateTime<Utc>>,
    /// Since when every replica is healthy.
    pub healthy_since: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}

impl Deployment {
    /// Whether its owner can still withdraw it.
    pub fn cancelable(&self) -> Result<()> {
        let Self { id, status, kind, superseded_by, .. } = self;
        let why = match (status, superseded_by, kind) {
            (status, _, _) if status.is_terminal() => {
                format!("the deployment {id} has ended as {status}; roll back to undo what it did")
            }
            (_, Some(newer), _) => format!("the newer deployment {newer} takes over from {id}"),
            (Status::RollingBack, _, _) => {
                format!("the deployment {id} is going back already; its verdict comes by itself")
            }
            (Status::Queued, _, kind) if *kind != Kind::Repair => return Ok(()),
            (_, _, Kind::Remove) => {
                format!("a worker has begun the removal {id}: it cannot be withdrawn any more")
            }
            (_, _, Kind::Repair) => {
                format!("{id} is a repair of the platform's; deploy or roll back instead of it")
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorCode::NotCancelable, why))
    }
}

/// One line of a deployment's timeline.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = deployment_events)]
pub struct DeploymentEvent {
    /// Position in the timeline.
    pub id: i64,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// Its deployment.
    pub deployment_id: DeploymentId,
    /// The status that was reached.
    pub status: Status,
    /// What happened, in a sentence.
    pub message: String,
    /// When.
    pub created_at: DateTime<Utc>,
}
