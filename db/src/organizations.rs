//! Organizations: made by operators, born with the environment `production`.

use chrono::Utc;
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::email::Email;
use model::environment::PRODUCTION;
use model::error::ErrorCode;
use model::id::{OrganizationId, UserId};
use model::member::Role;
use model::network::NetworkOptions;
use model::organization::Organization;
use model::policy::PolicyException;
use model::policy::access::Action;
use model::schema::{organizations, users};
use model::slug::Slug;
use model::{Error, Result};

use crate::audit::{Mutation, audit_insert};
use crate::environments::environment_insert;
use crate::failure::{self, Failure, violates_unique};
use crate::members::member_insert;
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::{OperatorScope, OrgScope};

/// Makes an organization with its `production` environment, in one transaction.
pub async fn organization_create(
    database: &Database,
    operator: OperatorScope,
    slug: &Slug,
    name: &str,
    owner: Option<&Email>,
    request: &Request,
    answer: impl Fn(Organization) -> Result<Answer> + Sync,
) -> Result<Answered> {
    operator.require(Action::OrganizationCreate)?;
    let mut connection = database.platform(operator).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            let organization = diesel::insert_into(organizations::table)
                .values((
                    organizations::id.eq(OrganizationId::new()),
                    organizations::slug.eq(slug.as_str()),
                    organizations::name.eq(name),
                ))
                .returning(Organization::as_returning())
                .get_result(connection)
                .await
                .map_err(|error| {
                    if violates_unique(&error, "organizations_slug_key") {
                        Failure::Refused(Error::new(
                            ErrorCode::AlreadyExists,
                            format!("an organization {slug} exists; choose another slug"),
                        ))
                    } else {
                        Failure::from(error)
                    }
                })?;
            let options = NetworkOptions::default();
            environment_insert(connection, organization.id, PRODUCTION, options).await?;
            if let Some(email) = owner {
                let owner = owner_of(connection, email).await?;
                member_insert(connection, organization.id, owner, Role::Owner).await?;
            }
            let mutation = Mutation {
                organization: Some(organization.id),
                action: "organization.create",
                object: organization.id.to_string(),
                before: None,
                after: Some(serde_json::json!({
                    "slug": slug, "name": name, "owner": owner.map(Email::as_str),
                })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(organization)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// The person who is to own an organization from its beginning.
async fn owner_of(connection: &mut AsyncPgConnection, email: &Email) -> Result<UserId, Failure> {
    let found = users::table
        .filter(users::email.eq(email.as_str()))
        .select(users::id)
        .first(connection)
        .await
        .optional()?;
    let nobody = || {
        let message =
            format!("nobody has the email address {email}; leave owner out and invite them");
        Error::new(ErrorCode::NotFound, message)
    };
    Ok(found.ok_or_else(nobody)?)
}

/// The organization of a scope.
pub async fn organization_get(database: &Database, scope: OrgScope) -> Result<Organization> {
    let organization = scope.allowing(Action::OrganizationRead)?;
    let mut connection = database.tenant(organization).await?;
    organizations::table
        .find(organization)
        .select(Organization::as_select())
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?
        .ok_or_else(|| Error::not_found("organization"))
}

/// All organizations, oldest first.
pub async fn organization_list(
    database: &Database,
    operator: OperatorScope,
    page: PageRequest,
) -> Result<Page<Organization>> {
    operator.require(Action::OrganizationList)?;
    let mut connection = database.platform(operator).await?;
    let mut query = organizations::table
        .select(Organization::as_select())
        .filter(organizations::deleted_at.is_null())
        .order(organizations::id)
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(organizations::id.gt(OrganizationId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |organization: &Organization| organization.id.as_uuid()))
}

/// Suspends an organization for a reason, or resumes it (`None`). One that is suspended already is told
/// another reason, and stays suspended since when it was.
pub async fn organization_suspend(
    database: &Database,
    scope: OrgScope,
    reason: Option<&str>,
    request: &Request,
    answer: impl Fn(Organization) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let id = scope.allowing(Action::OrganizationSuspend)?;
    let mut connection = database.tenant(id).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let before = organization_lock(connection, id).await?;
            let asked = reason.is_some().then(Utc::now);
            let since = before.suspended_at.filter(|_| reason.is_some()).or(asked);
            let after: Organization = diesel::update(organizations::table.find(id))
                .set((
                    organizations::suspended_at.eq(since),
                    organizations::suspended_reason.eq(reason),
                    organizations::updated_at.eq(now()),
                ))
                .returning(Organization::as_returning())
                .get_result(connection)
                .await?;
            let mutation = Mutation {
                organization: Some(id),
                action: if reason.is_some() {
                    "organization.suspend"
                } else {
                    "organization.resume"
                },
                object: id.to_string(),
                before: Some(serde_json::json!({ "suspended_reason": before.suspended_reason })),
                after: Some(serde_json::json!({ "suspended_reason": after.suspended_reason })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(after)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Sets what an organization may have beyond the policy: all of it.
pub async fn organization_except(
    database: &Database,
    scope: OrgScope,
    mut exceptions: Vec<PolicyException>,
    request: &Request,
) -> Result<Organization> {
    let id = scope.allowing(Action::ExceptionManage)?;
    exceptions.sort_unstable();
    exceptions.dedup();
    let mut connection = database.tenant(id).await?;
    let changed = connection
        .transaction(async |connection| {
            let before = organization_lock(connection, id).await?;
            let after: Organization = diesel::update(organizations::table.find(id))
                .set((
                    organizations::policy_exceptions.eq(&exceptions),
                    organizations::updated_at.eq(now()),
                ))
                .returning(Organization::as_returning())
                .get_result(connection)
                .await?;
            let mutation = Mutation {
                organization: Some(id),
                action: "organization.except",
                object: id.to_string(),
                before: Some(serde_json::json!({ "policy_exceptions": before.policy_exceptions })),
                after: Some(serde_json::json!({ "policy_exceptions": after.policy_exceptions })),
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(after)
        })
        .await?;
    Ok(changed)
}

pub(crate) async fn organization_lock(
    connection: &mut AsyncPgConnection,
    id: OrganizationId,
) -> diesel::QueryResult<Organization> {
    organizations::table
        .find(id)
        .select(Organization::as_select())
        .for_no_key_update()
        .first(connection)
        .await
}
