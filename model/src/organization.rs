//! Organizations: the tenants.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::OrganizationId;
use crate::policy::PolicyException;
use crate::schema::organizations;

/// A tenant.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable, Insertable)]
#[diesel(table_name = organizations)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Unique in the installation.
    pub slug: String,
    /// For people.
    pub name: String,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
    /// Since when it may be read and not changed.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Why.
    pub suspended_reason: Option<String>,
    /// What it may have beyond the policy.
    pub policy_exceptions: Vec<PolicyException>,
    /// When it ends, with all that is its own; until then that can be taken back.
    pub delete_after: Option<DateTime<Utc>>,
    /// Since when nothing of it is left but this row.
    pub deleted_at: Option<DateTime<Utc>>,
}
