//! Environments: isolated places inside an organization, each with its own network.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::{EnvironmentId, OrganizationId};
use crate::schema::environments;

/// The environment that every organization is born with.
pub const PRODUCTION: &str = "production";

/// Most environments of an organization: each takes a subnet out of pools that all share.
pub const MAX_ENVIRONMENTS: i64 = 32;

/// Most subnets that an organization's environments have, had, or had until some minutes ago: whoever makes and removes
/// environments over and over would else have all of the pools at rest.
pub const MAX_SUBNETS: i64 = 2 * MAX_ENVIRONMENTS;

/// Slugs that would be read as something else: every environment, none, or the platform's own.
pub const RESERVED_SLUGS: &[&str] = &["all", "default", "none", "platform", "skep"];

/// What the slug of one that was removed becomes, so that another one may take it.
pub fn removed_slug(id: EnvironmentId) -> String {
    format!("removed-{}", id.as_uuid().simple())
}

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
    /// When it was removed. The row stays, as the end of its apps' history, under a slug that nobody asks for.
    pub removed_at: Option<DateTime<Utc>>,
}
