//! Members: what a person is in an organization.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::{MemberId, OrganizationId, UserId};
use crate::schema::members;
use crate::text_enum::text_enum;

text_enum! {
    /// What a member may do in an organization; `policy::access` has the table.
    pub enum Role {
        /// Everything, and alone makes other owners.
        Owner => "owner",
        /// Everything but owners.
        Admin => "admin",
        /// Apps and their deployments.
        Developer => "developer",
        /// Reads.
        Viewer => "viewer",
        /// Plans, quotas and usage; no apps.
        Billing => "billing",
    }
}

impl Role {
    /// Whether `other` is above it: what nobody gives, and whom nobody changes.
    pub const fn is_below(self, other: Self) -> bool {
        self.rank() < other.rank()
    }

    /// What a viewer and who pays may do cannot be compared; neither gives roles.
    const fn rank(self) -> u8 {
        match self {
            Self::Owner => 3,
            Self::Admin => 2,
            Self::Developer => 1,
            Self::Viewer | Self::Billing => 0,
        }
    }
}

/// A membership.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = members)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Where.
    pub organization_id: OrganizationId,
    /// Who.
    pub user_id: UserId,
    /// What they are there.
    pub role: Role,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}
