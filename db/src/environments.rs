//! Environments and the networks that they are born with.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use model::environment::Environment;
use model::id::{EnvironmentId, NetworkId, OrganizationId};
use model::network::Network;
use model::policy::access::Action;
use model::schema::{environments, networks, platform};
use model::{Error, Result, names, subnet};

use crate::failure::{self, Failure};
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::scope::{EnvironmentScope, OrgScope, named};
use crate::segment::Segment;
use crate::subnets::subnet_allocate;

/// An environment with its network.
pub type EnvironmentRow = (Environment, Network);

/// Makes an environment and its network's row, with a subnet of its own. The network itself is
/// made in Swarm when the first app is deployed.
pub(crate) async fn environment_insert(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    slug: &str,
) -> Result<EnvironmentRow, Failure> {
    let environment = diesel::insert_into(environments::table)
        .values((
            environments::id.eq(EnvironmentId::new()),
            environments::organization_id.eq(organization),
            environments::slug.eq(slug),
        ))
        .returning(Environment::as_returning())
        .get_result(connection)
        .await?;
    let subnet = subnet_allocate(connection, subnet::DEFAULT_PREFIX).await?;
    let mtu: Option<i32> = platform::table.select(platform::network_mtu).first(connection).await?;
    let network = diesel::insert_into(networks::table)
        .values((
            networks::id.eq(NetworkId::new()),
            networks::organization_id.eq(organization),
            networks::environment_id.eq(environment.id),
            networks::name.eq(names::network_name(organization, environment.id, slug)),
            networks::subnet.eq(IpNet::from(subnet)),
            networks::mtu.eq(mtu),
        ))
        .returning(Network::as_returning())
        .get_result(connection)
        .await?;
    Ok((environment, network))
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
        .filter(
            environments::organization_id
                .eq(scope.organization.allowing(Action::EnvironmentRead)?),
        )
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
        .filter(environments::organization_id.eq(organization))
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
