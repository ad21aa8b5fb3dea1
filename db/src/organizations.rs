//! Organizations: made by operators, born with the environment `production`.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};
use model::environment::PRODUCTION;
use model::error::ErrorCode;
use model::id::OrganizationId;
use model::organization::Organization;
use model::schema::organizations;
use model::slug::Slug;
use model::{Error, Result};

use crate::audit::Mutation;
use crate::environments::environment_insert;
use crate::failure::{self, Failure, violates_unique};
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::{OperatorScope, OrgScope, named};
use crate::segment::Segment;

/// Makes an organization with its `production` environment, in one transaction.
pub async fn organization_create(
    database: &Database,
    _operator: OperatorScope,
    slug: &Slug,
    name: &str,
    request: &Request,
    answer: impl Fn(Organization) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let mut connection = database.connection().await?;
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
                        Failure::Postgres(error)
                    }
                })?;
            environment_insert(connection, organization.id, PRODUCTION).await?;
            let mutation = Mutation {
                organization: Some(organization.id),
                action: "organization.create",
                object: organization.id.to_string(),
                before: None,
                after: Some(serde_json::json!({ "slug": slug, "name": name })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(organization)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Finds an organization for an operator, who reaches all of them.
pub async fn organization_find(
    database: &Database,
    _operator: OperatorScope,
    segment: &Segment<OrganizationId>,
) -> Result<OrgScope> {
    let mut connection = database.connection().await?;
    let query = organizations::table.select(organizations::id).into_boxed();
    let query = named!(query, organizations, segment);
    let id = query.first(&mut connection).await.optional().map_err(failure::postgres)?;
    id.map(OrgScope::granted).ok_or_else(|| Error::not_found("organization"))
}

/// The organization of a scope.
pub async fn organization_get(database: &Database, scope: OrgScope) -> Result<Organization> {
    let mut connection = database.connection().await?;
    organizations::table
        .find(scope.organization())
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
    _operator: OperatorScope,
    page: PageRequest,
) -> Result<Page<Organization>> {
    let mut connection = database.connection().await?;
    let mut query = organizations::table
        .select(Organization::as_select())
        .order(organizations::id)
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(organizations::id.gt(OrganizationId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |organization: &Organization| organization.id.as_uuid()))
}
