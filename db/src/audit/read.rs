//! The audit log read back: of one organization by who may, of all by who operates the platform.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use model::Result;
use model::audit::{AuditRecord, AuditResult};
use model::id::{AuditId, OrganizationId, TokenId, UserId};
use model::policy::access::Action;
use model::schema::{audit_chain, audit_log, organizations, users};

use super::audit_look;
use crate::failure;
use crate::page::{Page, PageRequest};
use crate::pool::{Connection, Database};
use crate::scope::{Actor, OperatorScope, OrgScope};

/// Whose rows are read.
#[derive(Debug, Clone, Copy)]
pub enum AuditScope {
    /// One organization's.
    Organization(OrgScope),
    /// Everybody's, and the platform's own.
    Platform(OperatorScope),
}

/// Which rows are asked for: those of which all that is given is true.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// They concern this tenant.
    pub organization: Option<OrganizationId>,
    /// Verb and noun.
    pub action: Option<String>,
    /// What it was done to.
    pub object: Option<String>,
    /// The person whose token was used.
    pub user: Option<UserId>,
    /// The token that was used.
    pub token: Option<TokenId>,
    /// The request.
    pub request: Option<String>,
    /// What came of it.
    pub result: Option<AuditResult>,
    /// Written then or later.
    pub since: Option<DateTime<Utc>>,
    /// Written before.
    pub until: Option<DateTime<Utc>>,
}

/// In which order rows are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOrder {
    /// For who looks what happened.
    NewestFirst,
    /// For who keeps a copy.
    OldestFirst,
}

/// Writes down that an operator opens logs: in the one of the organization that is asked for, where there is such
/// an organization, or else in the platform's own.
pub async fn audit_open(
    database: &Database,
    operator: OperatorScope,
    filter: &AuditFilter,
    actor: &Actor,
    path: &str,
) -> Result<()> {
    let organization = match filter.organization {
        Some(wanted) => {
            let mut connection = database.platform(operator).await?;
            let found = organizations::table.find(wanted).select(organizations::id);
            found.first(&mut connection).await.optional().map_err(failure::postgres)?
        }
        None => None,
    };
    audit_look(database, actor, organization, Action::PlatformAuditRead, path).await
}

/// A page of rows.
pub async fn audit_list(
    database: &Database,
    scope: AuditScope,
    filter: &AuditFilter,
    order: AuditOrder,
    page: PageRequest,
) -> Result<Page<AuditRecord>> {
    let (mut connection, organization) = reach(database, scope, filter).await?;
    let mut query = audit_log::table
        .left_join(users::table.on(audit_log::user_id.eq(users::id.nullable())))
        .left_join(audit_chain::table.on(audit_chain::audit_id.eq(audit_log::id)))
        .select((
            audit_log::id,
            audit_log::organization_id,
            audit_log::token_id,
            audit_log::user_id,
            users::email.nullable(),
            audit_log::action,
            audit_log::object,
            audit_log::before,
            audit_log::after,
            audit_log::request_id,
            audit_log::address,
            audit_log::result,
            audit_log::created_at,
            audit_chain::number.nullable(),
            audit_chain::hash.nullable(),
        ))
        .limit(page.fetch())
        .into_boxed();
    if let Some(organization) = organization {
        query = query.filter(audit_log::organization_id.eq(organization));
    }
    if let Some(action) = &filter.action {
        query = query.filter(audit_log::action.eq(action));
    }
    if let Some(object) = &filter.object {
        query = query.filter(audit_log::object.eq(object));
    }
    if let Some(user) = filter.user {
        query = query.filter(audit_log::user_id.eq(user));
    }
    if let Some(token) = filter.token {
        query = query.filter(audit_log::token_id.eq(token));
    }
    if let Some(request) = &filter.request {
        query = query.filter(audit_log::request_id.eq(request));
    }
    if let Some(result) = filter.result {
        query = query.filter(audit_log::result.eq(result));
    }
    if let Some(since) = filter.since {
        query = query.filter(audit_log::created_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_log::created_at.lt(until));
    }
    let after = page.after.map(|cursor| AuditId::from(cursor.0));
    query = match order {
        AuditOrder::NewestFirst => query.order(audit_log::id.desc()),
        AuditOrder::OldestFirst => query.order(audit_log::id.asc()),
    };
    if let Some(after) = after {
        query = match order {
            AuditOrder::NewestFirst => query.filter(audit_log::id.lt(after)),
            AuditOrder::OldestFirst => query.filter(audit_log::id.gt(after)),
        };
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |row: &AuditRecord| row.id.as_uuid()))
}

/// A connection on which the scope's rows are found, and the organization that they are filtered by.
async fn reach(
    database: &Database,
    scope: AuditScope,
    filter: &AuditFilter,
) -> Result<(Connection, Option<OrganizationId>)> {
    match scope {
        AuditScope::Organization(scope) => {
            let organization = scope.allowing(Action::AuditRead)?;
            Ok((database.tenant(organization).await?, Some(organization)))
        }
        AuditScope::Platform(operator) => {
            operator.require(Action::PlatformAuditRead)?;
            Ok((database.platform(operator).await?, filter.organization))
        }
    }
}
