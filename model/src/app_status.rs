//! Live status: what a worker saw running, projected into Postgres whenever it changes, and what it
//! was before.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;

use crate::evidence::TaskRecord;
use crate::id::{AppId, HealthId, OrganizationId, ReleaseId};
use crate::schema::{app_health, app_status};
use crate::stored::Stored;
use crate::text_enum::text_enum;

text_enum! {
    /// How an app does.
    pub enum Health {
        /// Every desired replica runs.
        Healthy => "healthy",
        /// Some do.
        Degraded => "degraded",
        /// Replicas keep ending soon after they were started.
        CrashLooping => "crash_looping",
        /// None does, though some should.
        Down => "down",
        /// None should.
        Stopped => "stopped",
    }
}

impl Health {
    /// The health that these numbers of replicas mean.
    pub const fn of(desired: i32, running: i32) -> Self {
        if desired == 0 {
            Self::Stopped
        } else if running >= desired {
            Self::Healthy
        } else if running > 0 {
            Self::Degraded
        } else {
            Self::Down
        }
    }
}

/// An app as it was seen last.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = app_status)]
pub struct AppStatus {
    /// The app.
    pub app_id: AppId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// How it does.
    pub health: Health,
    /// Why it does not do better.
    pub cause: Option<String>,
    /// The release that the live service carries.
    pub release_id: Option<ReleaseId>,
    /// Replicas that should run.
    pub desired: i32,
    /// Replicas that run, healthy where they have a health check.
    pub running: i32,
    /// The tasks that should run.
    pub tasks: Stored<Vec<TaskRecord>>,
    /// Since when it does so.
    pub since: DateTime<Utc>,
    /// When a worker looked last.
    pub observed_at: DateTime<Utc>,
    /// The time in which the health is this one.
    pub health_id: HealthId,
    /// The virtual address of its name, where it has one: a single address.
    pub virtual_address: Option<IpNet>,
}

/// A time in which an app's health stayed the same.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = app_health)]
pub struct HealthPeriod {
    /// Its id.
    pub id: HealthId,
    /// How the app did.
    pub health: Health,
    /// Why it did not do better, as was known when it began.
    pub cause: Option<String>,
    /// Since when; it lasted until the next one.
    pub since: DateTime<Utc>,
}
