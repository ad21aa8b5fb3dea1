//! The audit log's rows: who did what, when, from where, and what it changed. Secrets never enter.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::{AuditId, OrganizationId, TokenId, UserId};
use crate::schema::audit_log;
use crate::text_enum::text_enum;

pub mod chain;

text_enum! {
    /// What came of what was tried.
    pub enum AuditResult {
        /// It was done.
        Done => "done",
        /// Its holder may not: nothing was done.
        Refused => "refused",
    }
}

/// One mutation, written in the transaction that makes it; a look of who operates the platform into an
/// organization; or what somebody was refused.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = audit_log)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// The tenant that it concerns.
    pub organization_id: Option<OrganizationId>,
    /// The token that was used; `None`: none was shown, as when somebody logs in.
    pub token_id: Option<TokenId>,
    /// The person whose token it was; `None`: nobody's in person.
    pub user_id: Option<UserId>,
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
    /// What came of it.
    pub result: AuditResult,
}

/// A row as it is read back: with the address of whose it was, and with its place in its chain.
#[derive(Debug, Clone, Queryable)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// The tenant that it concerns.
    pub organization_id: Option<OrganizationId>,
    /// The token that was used.
    pub token_id: Option<TokenId>,
    /// The person whose token it was.
    pub user_id: Option<UserId>,
    /// That person's email address.
    pub email: Option<String>,
    /// Verb and noun.
    pub action: String,
    /// What it was done to.
    pub object: String,
    /// What that was.
    pub before: Option<serde_json::Value>,
    /// What that became.
    pub after: Option<serde_json::Value>,
    /// The request.
    pub request_id: String,
    /// The peer's address.
    pub address: Option<String>,
    /// What came of it.
    pub result: AuditResult,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// Its number in its chain; `None`: a worker gives it one within seconds.
    pub number: Option<i64>,
    /// Its hash there.
    pub hash: Option<Vec<u8>>,
}
