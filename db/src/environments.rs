//! Environments: made with a network each, and removed when no app is in them.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::environment::{Environment, MAX_ENVIRONMENTS, PRODUCTION, RESERVED_SLUGS, removed_slug};
use model::error::{ErrorCode, Violation};
use model::id::{EnvironmentId, NetworkId, OrganizationId};
use model::network::{Network, NetworkOptions};
use model::policy::access::Action;
use model::schema::{apps, environments, networks};
use model::slug::Slug;
use model::{Error, Result, names};

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure, violates_unique};
use crate::networks::{network_audited, network_insert, subnets_few_enough};
use crate::now::now;
use crate::organizations::organization_lock;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::{EnvironmentScope, OrgScope, named};
use crate::secrets::secrets_remove;
use crate::segment::Segment;

/// An environment with its network.
pub type EnvironmentRow = (Environment, Network);

/// Makes an environment. Refused where its slug is taken or reserved, where there are as many as may be, and where no
/// subnet is left.
pub async fn environment_create(
    database: &Database,
    scope: OrgScope,
    slug: &Slug,
    options: NetworkOptions,
    request: &Request,
    answer: impl Fn(EnvironmentRow) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let organization = scope.allowing(Action::EnvironmentManage)?;
    options.check()?;
    if RESERVED_SLUGS.contains(&slug.as_str()) {
        let rule = format!("another word than {}", RESERVED_SLUGS.join(", "));
        return Err(Error::invalid(vec![Violation::new("slug", rule)]));
    }
    let mut connection = database.tenant(organization).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            // Two at once count one after the other.
            organization_lock(connection, organization).await?;
            few_enough(connection, organization).await?;
            subnets_few_enough(connection, organization).await?;
            let made = environment_insert(connection, organization, slug.as_str(), options).await?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "environment.create",
                object: made.0.id.to_string(),
                before: None,
                after: Some(audited(&made)),
                deployment: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

async fn few_enough(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
) -> Result<(), Failure> {
    let there: i64 = environments::table
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .count()
        .get_result(connection)
        .await?;
    if there < MAX_ENVIRONMENTS {
        return Ok(());
    }
    let message = format!(
        "there are {there} environments, and no more than {MAX_ENVIRONMENTS} may be: remove one"
    );
    Err(Error::new(ErrorCode::TooMany, message).into())
}

/// Makes an environment and its network's row, with a subnet of its own. The network itself is
/// made in Swarm when the first app is deployed.
pub(crate) async fn environment_insert(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    slug: &str,
    options: NetworkOptions,
) -> Result<EnvironmentRow, Failure> {
    let environment: Environment = diesel::insert_into(environments::table)
        .values((
            environments::id.eq(EnvironmentId::new()),
            environments::organization_id.eq(organization),
            environments::slug.eq(slug),
        ))
        .returning(Environment::as_returning())
        .get_result(connection)
        .await
        .map_err(|error| {
            if violates_unique(&error, "environments_organization_id_slug_key") {
                let message = format!("an environment {slug} exists; choose another slug");
                Failure::Refused(Error::new(ErrorCode::AlreadyExists, message))
            } else {
                Failure::from(error)
            }
        })?;
    let name = names::network_name(organization, environment.id, slug);
    let named = (NetworkId::new(), name);
    let network = network_insert(connection, &environment, named, options).await?;
    Ok((environment, network))
}

/// Removes an environment in which no app is left. Its network leaves the swarm, and then its subnet rests.
pub async fn environment_delete(
    database: &Database,
    scope: &EnvironmentScope,
    request: &Request,
) -> Result<()> {
    let organization = scope.organization.allowing(Action::EnvironmentManage)?;
    let mut connection = database.tenant(organization).await?;
    connection
        .transaction(async |connection| {
            let environment =
                environment_lock(connection, organization, &scope.environment).await?;
            if environment.slug == PRODUCTION {
                let message =
                    "an organization is born with the environment production, and ends with it";
                return Err(Error::new(ErrorCode::NotRemovable, message).into());
            }
            refuse_apps(connection, &environment).await?;
            let network: Network = diesel::update(
                networks::table
                    .filter(networks::environment_id.eq(environment.id))
                    .filter(networks::retired_at.is_null()),
            )
            .set((networks::retired_at.eq(now().nullable()), networks::updated_at.eq(now())))
            .returning(Network::as_returning())
            .get_result(connection)
            .await?;
            diesel::update(environments::table.find(environment.id))
                .set((
                    environments::slug.eq(removed_slug(environment.id)),
                    environments::removed_at.eq(now().nullable()),
                    environments::updated_at.eq(now()),
                ))
                .execute(connection)
                .await?;
            // After its network: an accept locks that, and then the quotas.
            secrets_remove(connection, environment.id).await?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "environment.delete",
                object: environment.id.to_string(),
                before: Some(audited(&(environment, network))),
                after: None,
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

/// Locks the environment: no app is made in it meanwhile.
pub(crate) async fn environment_lock(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    wanted: &Segment<EnvironmentId>,
) -> Result<Environment, Failure> {
    let there = environments::table
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .select(Environment::as_select());
    // A query that locks cannot be boxed.
    let found = match wanted {
        Segment::Id(id) => {
            there.filter(environments::id.eq(*id)).for_update().first(connection).await
        }
        Segment::Slug(slug) => {
            there.filter(environments::slug.eq(slug)).for_update().first(connection).await
        }
    };
    Ok(found.optional()?.ok_or_else(|| Error::not_found("environment"))?)
}

/// The environment, which nobody removes before the transaction ends.
pub(crate) async fn environment_hold(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    wanted: &Segment<EnvironmentId>,
) -> Result<Environment, Failure> {
    let there = environments::table
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .select(Environment::as_select());
    let found = match wanted {
        Segment::Id(id) => {
            there.filter(environments::id.eq(*id)).for_key_share().first(connection).await
        }
        Segment::Slug(slug) => {
            there.filter(environments::slug.eq(slug)).for_key_share().first(connection).await
        }
    };
    Ok(found.optional()?.ok_or_else(|| Error::not_found("environment"))?)
}

/// Refused while an app is in it, and which ones are told.
async fn refuse_apps(
    connection: &mut AsyncPgConnection,
    environment: &Environment,
) -> Result<(), Failure> {
    const TOLD: usize = 5;
    let there = || {
        apps::table
            .filter(apps::environment_id.eq(environment.id))
            .filter(apps::removed_at.is_null())
    };
    let count: i64 = there().count().get_result(connection).await?;
    if count == 0 {
        return Ok(());
    }
    let mut slugs: Vec<String> =
        there().order(apps::slug).limit(TOLD as i64).select(apps::slug).load(connection).await?;
    if count > TOLD as i64 {
        slugs.push("…".to_owned());
    }
    let message = format!(
        "{count} {} still in the environment {} ({}): remove them, and wait for the end of each removal",
        if count == 1 { "app is" } else { "apps are" },
        environment.slug,
        slugs.join(", ")
    );
    Err(Error::new(ErrorCode::InUse, message).into())
}

fn audited((environment, network): &EnvironmentRow) -> serde_json::Value {
    serde_json::json!({ "slug": environment.slug, "network": network_audited(network) })
}

/// One environment of the organization.
pub async fn environment_get(
    database: &Database,
    scope: &EnvironmentScope,
) -> Result<EnvironmentRow> {
    let organization = scope.organization.allowing(Action::EnvironmentRead)?;
    let mut connection = database.tenant(organization).await?;
    let query = environments::table
        .inner_join(networks::table)
        .filter(networks::retired_at.is_null())
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .select((Environment::as_select(), Network::as_select()))
        .into_boxed();
    named!(query, environments, &scope.environment)
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?
        .ok_or_else(|| Error::not_found("environment"))
}

/// The organization's environments, oldest first.
pub async fn environment_list(
    database: &Database,
    scope: OrgScope,
    page: PageRequest,
) -> Result<Page<EnvironmentRow>> {
    let organization = scope.allowing(Action::EnvironmentRead)?;
    let mut connection = database.tenant(organization).await?;
    let mut query = environments::table
        .inner_join(networks::table)
        .filter(networks::retired_at.is_null())
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .select((Environment::as_select(), Network::as_select()))
        .order(environments::id)
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(environments::id.gt(EnvironmentId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |(environment, _): &EnvironmentRow| environment.id.as_uuid()))
}
