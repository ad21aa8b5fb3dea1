//! Audit rows. Written in the transaction of the mutation that they tell of.

pub mod chain;

use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::audit::{AuditEntry, AuditResult};
use model::id::{AuditId, DeploymentId, OrganizationId};
use model::schema::audit_log;

use crate::scope::Actor;

/// What was done, to be audited.
pub(crate) struct Mutation<'a> {
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) action: &'a str,
    pub(crate) object: String,
    pub(crate) before: Option<serde_json::Value>,
    pub(crate) after: Option<serde_json::Value>,
    /// The deployment that it accepted.
    pub(crate) deployment: Option<DeploymentId>,
}

impl Mutation<'_> {
    /// Its row.
    pub(crate) fn entry(self, actor: &Actor) -> AuditEntry {
        AuditEntry {
            id: AuditId::new(),
            organization_id: self.organization,
            token_id: actor.credential.token(),
            user_id: actor.user,
            action: self.action.to_owned(),
            object: self.object,
            before: self.before,
            after: self.after,
            request_id: actor.request_id.clone(),
            address: actor.address.clone(),
            result: AuditResult::Done,
        }
    }
}

pub(crate) async fn audit_insert(
    connection: &mut AsyncPgConnection,
    actor: &Actor,
    mutation: Mutation<'_>,
) -> diesel::QueryResult<()> {
    let entry = mutation.entry(actor);
    diesel::insert_into(audit_log::table).values(&entry).execute(connection).await?;
    Ok(())
}
