//! The rows of overlay networks: made with an environment, retired with it, gone when the swarm has none of them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Bool, Inet, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid,
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use model::capacity::Capacity;
use model::environment::{Environment, MAX_SUBNETS};
use model::error::ErrorCode;
use model::evidence::TaskRecord;
use model::id::{AppId, NetworkId, OrganizationId};
use model::network::{Network, NetworkOptions};
use model::platform::Encryption;
use model::policy::access::Action;
use model::schema::{networks, platform, resting_subnets, swarm_seen};
use model::spec::EndpointMode;
use model::stored::Stored;
use model::{Error, Result, names};

use crate::audit::{Mutation, audit_insert};
use crate::environments::{EnvironmentRow, environment_get, environment_lock};
use crate::failure::{self, Failure};
use crate::now::now;
use crate::organizations::organization_lock;
use crate::pool::Database;
use crate::requests::Request;
use crate::scope::EnvironmentScope;
use crate::subnets::subnet_allocate;

/// Writes the row of an environment's network, with a subnet of its own.
pub(crate) async fn network_insert(
    connection: &mut AsyncPgConnection,
    environment: &Environment,
    (id, name): (NetworkId, String),
    options: NetworkOptions,
) -> Result<Network, Failure> {
    let subnet = subnet_allocate(connection, options.prefix).await?;
    let (mtu, encryption): (Option<i32>, Encryption) = platform::table
        .select((platform::network_mtu, platform::encryption))
        .first(connection)
        .await?;
    let network = diesel::insert_into(networks::table)
        .values((
            networks::id.eq(id),
            networks::organization_id.eq(environment.organization_id),
            networks::environment_id.eq(environment.id),
            networks::name.eq(name),
            networks::subnet.eq(IpNet::from(subnet)),
            networks::mtu.eq(options.mtu.or(mtu)),
            networks::access.eq(options.access),
            networks::encrypted.eq(encryption == Encryption::On),
        ))
        .returning(Network::as_returning())
        .get_result(connection)
        .await?;
    Ok(network)
}

/// An environment's network, and who may need how much of it.
#[derive(Debug, Clone)]
pub struct NetworkView {
    /// The network.
    pub network: Network,
    /// What it holds, and what of it is spoken for.
    pub capacity: Capacity,
    /// The apps that may need addresses of it.
    pub apps: Vec<NetworkedApp>,
    /// Names of networks that the environment had before, and that have not left the swarm yet.
    pub leaving: Vec<String>,
}

/// An app on its environment's network.
#[derive(Debug, Clone, QueryableByName)]
pub struct NetworkedApp {
    /// Its DNS name.
    #[diesel(sql_type = Text)]
    pub slug: String,
    /// How its name resolves, where a release of it is live.
    #[diesel(sql_type = Nullable<Text>)]
    pub endpoint_mode: Option<EndpointMode>,
    /// Addresses that are kept for it.
    #[diesel(sql_type = Integer)]
    pub reserved: i32,
    /// The virtual address of its name, as a worker saw it.
    #[diesel(sql_type = Nullable<Inet>)]
    pub virtual_address: Option<IpNet>,
    /// Its tasks, as a worker saw them.
    #[diesel(sql_type = Jsonb)]
    pub tasks: Stored<Vec<TaskRecord>>,
}

#[derive(QueryableByName)]
struct Leaving {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Nodes of the swarm, as a worker saw them last; 1 before.
async fn nodes_seen(connection: &mut AsyncPgConnection) -> QueryResult<i32> {
    let seen: Option<i32> =
        swarm_seen::table.select(swarm_seen::nodes).first(connection).await.optional()?;
    Ok(seen.unwrap_or(1))
}

/// The network of an environment. Apps without a deployment have no part in it.
pub async fn network_view(database: &Database, scope: &EnvironmentScope) -> Result<NetworkView> {
    let organization = scope.organization.allowing(Action::EnvironmentRead)?;
    let (_, network) = environment_get(database, scope).await?;
    let mut connection = database.tenant(organization).await?;
    let apps: Vec<NetworkedApp> = diesel::sql_query(
        "SELECT a.slug, r.spec ->> 'endpoint_mode' AS endpoint_mode, a.reserved_addresses AS reserved,
             s.virtual_address, coalesce(s.tasks, '[]') AS tasks
         FROM apps a LEFT JOIN releases r ON r.id = a.live_release_id LEFT JOIN app_status s ON s.app_id = a.id
         WHERE a.organization_id = $1 AND a.environment_id = $2 AND a.removed_at IS NULL AND a.reserved_addresses > 0
         ORDER BY a.slug",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(network.environment_id)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    let leaving: Vec<Leaving> = diesel::sql_query(
        "SELECT name FROM networks
         WHERE organization_id = $1 AND environment_id = $2 AND retired_at IS NOT NULL ORDER BY retired_at",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(network.environment_id)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    let nodes = nodes_seen(&mut connection).await.map_err(failure::postgres)?;
    Ok(NetworkView {
        capacity: Capacity::of(network.subnet.prefix_len(), nodes, network.reserved_addresses),
        network,
        apps,
        leaving: leaving.into_iter().map(|network| network.name).collect(),
    })
}

/// Gives an environment another network: Docker changes none that is there. A worker moves the apps, each by a deployment
/// of what is live; then the old one leaves the swarm. Refused while an earlier one has not left yet, and where the new one is
/// too small for what is kept for the apps.
pub async fn network_replace(
    database: &Database,
    scope: &EnvironmentScope,
    options: NetworkOptions,
    request: &Request,
) -> Result<EnvironmentRow> {
    let organization = scope.organization.allowing(Action::EnvironmentManage)?;
    options.check()?;
    let mut connection = database.tenant(organization).await?;
    let made = connection
        .transaction(async |connection| {
            let environment =
                environment_lock(connection, organization, &scope.environment).await?;
            // Two at once count one after the other.
            organization_lock(connection, organization).await?;
            subnets_few_enough(connection, organization).await?;
            let of_environment = || networks::table.filter(networks::environment_id.eq(environment.id));
            let leaving: Option<String> = of_environment()
                .filter(networks::retired_at.is_not_null())
                .select(networks::name)
                .first(connection)
                .await
                .optional()?;
            if let Some(name) = leaving {
                let message = format!(
                    "the network {name} that the environment had before has not left the swarm yet: apps still move off it"
                );
                return Err(Error::new(ErrorCode::InUse, message).into());
            }
            let before: Network = diesel::update(of_environment())
                .set((networks::retired_at.eq(now().nullable()), networks::updated_at.eq(now())))
                .returning(Network::as_returning())
                .get_result(connection)
                .await?;
            let id = NetworkId::new();
            let name = names::next_network_name(id);
            let network = network_insert(connection, &environment, (id, name), options).await?;
            let network: Network = diesel::update(networks::table.find(network.id))
                .set(networks::reserved_addresses.eq(before.reserved_addresses))
                .returning(Network::as_returning())
                .get_result(connection)
                .await?;
            refuse_small(connection, &network).await?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "environment.network",
                object: environment.id.to_string(),
                before: Some(network_audited(&before)),
                after: Some(network_audited(&network)),
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>((environment, network))
        })
        .await?;
    Ok(made)
}

/// Refused where an organization has had so many subnets lately that those at rest are most of them. Under the
/// organization's lock.
pub(crate) async fn subnets_few_enough(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
) -> Result<(), Failure> {
    let held: i64 = networks::table
        .filter(networks::organization_id.eq(organization))
        .count()
        .get_result(connection)
        .await?;
    let resting: i64 = resting_subnets::table
        .filter(resting_subnets::organization_id.eq(organization))
        .filter(resting_subnets::until.gt(now()))
        .count()
        .get_result(connection)
        .await?;
    if held + resting < MAX_SUBNETS {
        return Ok(());
    }
    let message = format!(
        "{held} subnets are the organization's and {resting} were until minutes ago, and no more than {MAX_SUBNETS} may be: \
         try again in ten minutes"
    );
    Err(Error::new(ErrorCode::TooMany, message).into())
}

async fn refuse_small(
    connection: &mut AsyncPgConnection,
    network: &Network,
) -> Result<(), Failure> {
    let nodes = nodes_seen(connection).await?;
    let empty = Capacity::of(network.subnet.prefix_len(), nodes, 0);
    if empty.free() >= network.reserved_addresses {
        return Ok(());
    }
    let message = format!(
        "a network of /{} has {} addresses for apps, less what {nodes} nodes take, and {} are kept for those that are \
         there: choose a shorter prefix",
        network.subnet.prefix_len(),
        empty.free(),
        network.reserved_addresses
    );
    Err(Error::new(ErrorCode::NetworkFull, message).into())
}

/// A network, for the audit log.
pub(crate) fn network_audited(network: &Network) -> serde_json::Value {
    serde_json::json!({
        "name": network.name, "subnet": network.subnet, "mtu": network.mtu,
        "access": network.access, "encrypted": network.encrypted,
    })
}

/// A network that is to leave the swarm.
#[derive(Debug, Clone, QueryableByName)]
pub struct Retired {
    /// Which.
    #[diesel(sql_type = Uuid)]
    pub id: NetworkId,
    /// Whose.
    #[diesel(sql_type = Uuid)]
    pub organization: OrganizationId,
    /// Its name in Swarm.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Whether a deployment is on its way that was begun when it was the environment's: its worker may still put a service
    /// on it, and would make it again.
    #[diesel(sql_type = Bool)]
    pub is_awaited: bool,
    /// Since when.
    #[diesel(sql_type = Timestamptz)]
    pub retired_at: DateTime<Utc>,
    /// Apps of its environment that were ever deployed.
    #[diesel(sql_type = Array<Uuid>)]
    pub apps: Vec<AppId>,
    /// The service of each.
    #[diesel(sql_type = Array<Text>)]
    pub services: Vec<String>,
    /// The version of each as its last verdict left it.
    #[diesel(sql_type = Array<Nullable<BigInt>>)]
    pub versions: Vec<Option<i64>>,
    /// Of which nothing is live and nothing is on its way: a first deployment that failed left a service without replicas.
    #[diesel(sql_type = Array<Bool>)]
    pub idle: Vec<bool>,
}

/// At most `limit` networks that are to leave the swarm: by chance, so that those which cannot yet keep none of the
/// others waiting. For workers.
pub async fn networks_retired(database: &Database, limit: i64) -> Result<Vec<Retired>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT n.id, n.organization_id AS organization, n.name,
             coalesce(a.ids, '{}') AS apps, coalesce(a.services, '{}') AS services,
             coalesce(a.versions, '{}') AS versions, coalesce(a.idle, '{}') AS idle, n.retired_at,
             EXISTS (SELECT FROM apps JOIN deployments d ON d.app_id = apps.id
                 WHERE apps.environment_id = n.environment_id
                     AND d.finished_at IS NULL AND d.started_at <= n.retired_at + interval '10 seconds')
             OR EXISTS (SELECT FROM isolation_checks c
                 WHERE c.status = 'running' AND n.environment_id = ANY (c.environments)) AS is_awaited
         FROM networks n
         LEFT JOIN LATERAL (
             SELECT array_agg(id ORDER BY id) AS ids, array_agg(service_name ORDER BY id) AS services,
                 array_agg(live_version ORDER BY id) AS versions,
                 array_agg(live_release_id IS NULL AND NOT EXISTS (
                     SELECT FROM deployments d WHERE d.app_id = apps.id AND d.finished_at IS NULL)
                     ORDER BY id) AS idle
             FROM apps
             WHERE environment_id = n.environment_id AND last_release > 0 AND removed_at IS NULL
         ) a ON true
         WHERE n.retired_at < now() - interval '10 seconds' ORDER BY random() LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}

/// It has left the swarm: its subnet rests. For workers.
pub async fn network_gone(database: &Database, id: NetworkId) -> Result<()> {
    let mut connection = database.connection().await?;
    diesel::delete(networks::table.find(id).filter(networks::retired_at.is_not_null()))
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(())
}

/// Which of these names are networks', those that are to leave the swarm included. For workers.
pub async fn networks_named(database: &Database, names: &[String]) -> Result<Vec<String>> {
    let mut connection = database.connection().await?;
    networks::table
        .filter(networks::name.eq_any(names))
        .select(networks::name)
        .load(&mut connection)
        .await
        .map_err(failure::postgres)
}

/// Every network, those that are to leave the swarm included. For workers.
pub async fn networks_all(database: &Database) -> Result<Vec<Network>> {
    let mut connection = database.connection().await?;
    networks::table
        .select(Network::as_select())
        .load(&mut connection)
        .await
        .map_err(failure::postgres)
}
