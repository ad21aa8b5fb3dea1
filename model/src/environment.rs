//! Environments: isolated places inside an organization, each with its own network.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::{EnvironmentId, OrganizationId};
use crate::schema::environments;

/// The environment that every organization is born with.
pub const PRODUCTION: &str = "production";

/// An isolated place inside an organization.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable, Insertable)]
#[diesel(table_name = environments)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// Unique in the organization.
    pub slug: String,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}
