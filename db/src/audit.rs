//! Audit rows. That of a mutation is written in its transaction; that of a look, before it is answered; that of
//! a refusal, by itself.

pub mod chain;
pub mod read;

use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::Result;
use model::audit::{AuditEntry, AuditResult};
use model::id::{AuditId, DeploymentId, OrganizationId};
use model::policy::access::Action;
use model::schema::audit_log;

use crate::failure;
use crate::pool::{Connection, Database};
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

    /// Its row, where nothing was done because its holder may not.
    pub(crate) fn refused(self, actor: &Actor) -> AuditEntry {
        AuditEntry { result: AuditResult::Refused, ..self.entry(actor) }
    }
}

pub(crate) async fn audit_insert(
    connection: &mut AsyncPgConnection,
    actor: &Actor,
    mutation: Mutation<'_>,
) -> diesel::QueryResult<()> {
    entry_insert(connection, &mutation.entry(actor)).await
}

/// The action of an operator's look into an organization.
pub const LOOK: &str = "operator.look";

/// Writes down that an operator looks into an organization, or (`None`) into what is every organization's: for
/// what, at which path.
pub async fn audit_look(
    database: &Database,
    actor: &Actor,
    organization: Option<OrganizationId>,
    action: Action,
    path: &str,
) -> Result<()> {
    let look = Mutation {
        organization,
        action: LOOK,
        object: path.to_owned(),
        before: None,
        after: Some(serde_json::json!({ "action": action })),
        deployment: None,
    };
    let mut connection = of_log(database, organization).await?;
    audit_insert(&mut connection, actor, look).await.map_err(failure::postgres)
}

/// Writes down that somebody who is known was refused: what, at which path.
pub async fn audit_refused(
    database: &Database,
    actor: &Actor,
    organization: Option<OrganizationId>,
    action: &str,
    path: &str,
) -> Result<()> {
    let refused = Mutation {
        organization,
        action,
        object: path.to_owned(),
        before: None,
        after: None,
        deployment: None,
    };
    let mut connection = of_log(database, organization).await?;
    entry_insert(&mut connection, &refused.refused(actor)).await.map_err(failure::postgres)
}

/// A connection that may write into an organization's log, or into the platform's own.
async fn of_log(database: &Database, organization: Option<OrganizationId>) -> Result<Connection> {
    match organization {
        Some(organization) => database.tenant(organization).await,
        None => database.nobody().await,
    }
}

pub(crate) async fn entry_insert(
    connection: &mut AsyncPgConnection,
    entry: &AuditEntry,
) -> diesel::QueryResult<()> {
    diesel::insert_into(audit_log::table).values(entry).execute(connection).await?;
    Ok(())
}
