//! The audit log's rows: who did what, when, from where, and what it changed. Secrets never enter.

use diesel::prelude::*;

use crate::id::{AuditId, OrganizationId, TokenId};
use crate::schema::audit_log;

/// One mutation. Written in the transaction that makes it.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = audit_log)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// The tenant that it concerns.
    pub organization_id: Option<OrganizationId>,
    /// The token that was used.
    pub token_id: Option<TokenId>,
    /// Verb and noun: `app.create`.
    pub action: String,
    /// Id of what was changed.
    pub object: String,
    /// What it was.
    pub before: Option<serde_json::Value>,
    /// What it became.
    pub after: Option<serde_json::Value>,
    /// The request, as in the log and the answer's header.
    pub request_id: String,
    /// The peer's address.
    pub address: Option<String>,
}
