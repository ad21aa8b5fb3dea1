//! An entry of the audit log as it is answered.

use chrono::{DateTime, Utc};
use model::audit::{AuditRecord, AuditResult};
use poem_openapi::Object;
use serde_json::Value;

use crate::word::Word;

/// What somebody did, looked at, or was refused.
#[derive(Debug, Object)]
#[oai(rename = "AuditEntry")]
pub(crate) struct AuditEntryObject {
    /// Its id (`aud_…`).
    id: String,
    /// Id of the organization that it concerns (`org_…`); `null`: the platform itself.
    organization: Option<String>,
    /// Verb and noun, as `app.update`. `operator.look`: an operator read something of the organization's.
    action: String,
    /// Id of what was changed; path of what was looked at or refused.
    object: String,
    /// What it was, without secrets.
    before: Option<Value>,
    /// What it became, without secrets.
    after: Option<Value>,
    /// What came of it.
    result: Word<AuditResult>,
    /// Id of the token that was used (`tok_…`); `null`: none.
    token: Option<String>,
    /// Id of the person whose token it was (`usr_…`); `null`: nobody's in person.
    user: Option<String>,
    /// That person's email address.
    email: Option<String>,
    /// The address that the request came from.
    address: Option<String>,
    /// Id of the request, as its answer's `X-Request-Id` had it.
    request: String,
    /// When it was written.
    created_at: DateTime<Utc>,
    /// Its number in the chain of its organization, or of the platform; `null`: it gets one within seconds.
    number: Option<i64>,
    /// Its hash there: 64 hexadecimal digits.
    hash: Option<String>,
}

impl From<AuditRecord> for AuditEntryObject {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id.to_string(),
            organization: record.organization_id.map(|id| id.to_string()),
            action: record.action,
            object: record.object,
            before: record.before,
            after: record.after,
            result: Word(record.result),
            token: record.token_id.map(|id| id.to_string()),
            user: record.user_id.map(|id| id.to_string()),
            email: record.email,
            address: record.address,
            request: record.request_id,
            created_at: record.created_at,
            number: record.number,
            hash: record.hash.map(hex::encode),
        }
    }
}
