//! Users: people. What a person may do in an organization is a membership; what they may do to the
//! platform itself is a role of their own. Their passwords are elsewhere (`password`): whoever reads a
//! person reads no hash.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::UserId;
use crate::schema::users;
use crate::text_enum::text_enum;

text_enum! {
    /// What a person, or a token, may do to the platform itself.
    pub enum PlatformRole {
        /// Everything: people, hosts and credentials too.
        Admin => "admin",
        /// Everything that runs, of every tenant.
        Operator => "operator",
        /// Reads.
        Viewer => "viewer",
    }
}

/// A person.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable, Identifiable)]
#[diesel(table_name = users)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// In lower case: two spellings are one person.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they may do to the platform itself.
    pub platform_role: Option<PlatformRole>,
    /// Since when they cannot log in, and none of their tokens works.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}
