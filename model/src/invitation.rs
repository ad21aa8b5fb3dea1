//! Invitations: what lets a person into an organization, once. Whoever holds its secret and is the person
//! of its email gets in; the secret's hash is all that is kept of it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use crate::id::{InvitationId, OrganizationId};
use crate::member::Role;
use crate::schema::invitations;

/// What the text of an invitation's secret says of it.
pub const INVITATION_MARK: &str = "inv";
/// How long one can be accepted.
pub const INVITATION_VALID: TimeDelta = TimeDelta::days(7);

/// An invitation.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = invitations)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Into which organization.
    pub organization_id: OrganizationId,
    /// Who is invited, in lower case.
    pub email: String,
    /// What they will be there.
    pub role: Role,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
}
