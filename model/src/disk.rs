//! Disk: what the replicas of an app have written into their containers, measured now and then. It is accounting: Swarm cannot bound what
//! a service's containers write (moby #28619, #25303), so nothing is stopped in the act.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::id::{AppId, OrganizationId};
use crate::schema::app_disk;
use crate::stored::Stored;
use crate::text_enum::text_enum;

/// Bytes of a GB, as disks are stated.
pub const GB: i64 = 1 << 30;

text_enum! {
    /// How much of its disk a replica has written: the one that has written most.
    pub enum DiskLevel {
        /// Less than 80 %.
        Normal => "normal",
        /// 80 % or more.
        High => "high",
        /// All of it, or more.
        Full => "full",
    }
}

text_enum! {
    /// What is done about an app of which a replica has written all that it may.
    pub enum OnDiskFull {
        /// Its owner is told.
        Warn => "warn",
        /// Its owner is told, and it is stopped.
        Stop => "stop",
    }
}

impl DiskLevel {
    /// The level of so many bytes out of so many.
    pub const fn of(used: i64, limit: i64) -> Self {
        if used >= limit {
            Self::Full
        } else if used >= limit / 5 * 4 {
            Self::High
        } else {
            Self::Normal
        }
    }
}

/// What one replica has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaDisk {
    /// Swarm's id of its task.
    pub task: String,
    /// Swarm's id of its node.
    pub node: String,
    /// The container's writable layer, in bytes.
    pub bytes: i64,
}

/// What the replicas of an app have written, as it was measured last.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = app_disk)]
pub struct AppDisk {
    /// The app.
    pub app_id: AppId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// Each replica that was reached.
    pub replicas: Stored<Vec<ReplicaDisk>>,
    /// Of the replica that has written most, in bytes.
    pub used_bytes: i64,
    /// What each may write, in bytes.
    pub limit_bytes: i64,
    /// How much of it that is.
    pub level: DiskLevel,
    /// Since when it is this much.
    pub since: DateTime<Utc>,
    /// When it was measured.
    pub measured_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_are_high_and_all_is_full() {
        for (used, level) in [
            (0, DiskLevel::Normal),
            (GB / 5 * 4 - 1, DiskLevel::Normal),
            (GB / 5 * 4, DiskLevel::High),
            (GB - 1, DiskLevel::High),
            (GB, DiskLevel::Full),
            (9 * GB, DiskLevel::Full),
        ] {
            assert_eq!(DiskLevel::of(used, GB), level, "{used}");
        }
    }
}
