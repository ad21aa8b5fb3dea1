//! Audit rows. Written in the transaction of the mutation that they tell of; read by a later
//! issue's endpoints.

use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::audit::AuditEntry;
use model::id::{AuditId, OrganizationId};
use model::schema::audit_log;

use crate::scope::Actor;

/// What was done, to be audited.
pub(crate) struct Mutation<'a> {
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) action: &'a str,
    pub(crate) object: String,
    pub(crate) before: Option<serde_json::Value>,
    pub(crate) after: Option<serde_json::Value>,
}

pub(crate) async fn audit_insert(
    connection: &mut AsyncPgConnection,
    actor: &Actor,
    mutation: Mutation<'_>,
) -> diesel::QueryResult<()> {
    let entry = AuditEntry {
        id: AuditId::new(),
        organization_id: mutation.organization,
        token_id: Some(actor.token),
        action: mutation.action.to_owned(),
        object: mutation.object,
        before: mutation.before,
        after: mutation.after,
        request_id: actor.request_id.clone(),
        address: actor.address.clone(),
    };
    diesel::insert_into(audit_log::table).values(&entry).execute(connection).await?;
    Ok(())
}
