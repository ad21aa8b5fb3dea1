//! Addresses of networks, kept for apps: as many as a deployment may need are kept from its accept on, and what the verdict
//! does not need is given back with it. `networks` holds the sum of its apps, by a trigger.

use diesel::prelude::*;
use diesel::sql_types::{Cidr, Integer, Nullable, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use model::Error;
use model::app::App;
use model::capacity::{Capacity, Need};
use model::deployment::Deployment;
use model::error::ErrorCode;
use model::id::AppId;

use crate::failure::Failure;
use crate::prepared::Prepared;

/// Keeps what the app may need, where that is more than what is kept for it already. Refused, with the arithmetic, where
/// its network has not as much left. A statement only where something is to be kept.
pub(crate) async fn addresses_reserve(
    connection: &mut AsyncPgConnection,
    app: &App,
    need: Need,
) -> Result<(), Failure> {
    if need.addresses() <= app.reserved_addresses {
        return Ok(());
    }
    // Twice: who waited for a network that was retired meanwhile finds the one that took its place.
    for _ in 0..2 {
        if reserve(connection, app, need).await? {
            return Ok(());
        }
    }
    Err(full(connection, app, need).await?.into())
}

async fn reserve(connection: &mut AsyncPgConnection, app: &App, need: Need) -> QueryResult<bool> {
    // Locked, then compared: who waited for the lock compares what the one before has left.
    let query = diesel::sql_query(
        "WITH room AS (
             SELECT id FROM networks
             WHERE environment_id = $2 AND retired_at IS NULL
                 AND reserved_addresses + $3 - $4 <= network_capacity(subnet)
             FOR NO KEY UPDATE
         )
         UPDATE apps SET reserved_addresses = $3 WHERE id = $1 AND EXISTS (SELECT FROM room)",
    )
    .bind::<Uuid, _>(app.id)
    .bind::<Uuid, _>(app.environment_id)
    .bind::<Integer, _>(need.addresses())
    .bind::<Integer, _>(app.reserved_addresses);
    Ok(Prepared(query).execute(connection).await? == 1)
}

/// A network's numbers.
#[derive(QueryableByName)]
struct Numbers {
    #[diesel(sql_type = Cidr)]
    subnet: IpNet,
    #[diesel(sql_type = Integer)]
    reserved: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    nodes: Option<i32>,
}

async fn full(connection: &mut AsyncPgConnection, app: &App, need: Need) -> QueryResult<Error> {
    let numbers: Numbers = diesel::sql_query(
        "SELECT subnet, reserved_addresses AS reserved, (SELECT nodes FROM swarm_seen) AS nodes
         FROM networks WHERE environment_id = $1 AND retired_at IS NULL",
    )
    .bind::<Uuid, _>(app.environment_id)
    .get_result(connection)
    .await?;
    let of_others = numbers.reserved - app.reserved_addresses;
    let nodes = numbers.nodes.unwrap_or(1);
    let capacity = Capacity::of(numbers.subnet.prefix_len(), nodes, of_others);
    let virtual_address = match need.virtual_address {
        0 => "",
        _ => " and a virtual address",
    };
    let message = format!(
        "the environment's network is too small: {} has {} addresses, less {} that nobody can have, {} for the \
         swarm's nodes and {} of other apps: {} are left, and {} are needed ({} replicas, {} beside them in an \
         update{virtual_address}); run fewer replicas, or give the environment a larger network",
        numbers.subnet,
        capacity.addresses,
        capacity.nobodys,
        capacity.nodes,
        of_others,
        capacity.free(),
        need.addresses(),
        need.replicas,
        need.surge,
    );
    Ok(Error::new(ErrorCode::NetworkFull, message))
}

/// What this deployment needed is what is live from now on.
pub(crate) async fn addresses_live(
    connection: &mut AsyncPgConnection,
    deployment: &Deployment,
) -> QueryResult<()> {
    let query = diesel::sql_query(
        "UPDATE apps SET live_addresses = coalesce(d.addresses, live_addresses) FROM deployments d WHERE d.id = $1 AND apps.id = d.app_id",
    )
    .bind::<Uuid, _>(deployment.id);
    Prepared(query).execute(connection).await?;
    Ok(())
}

/// After a deployment's end: keeps what is live, and what those that wait may need.
pub(crate) async fn addresses_settle(
    connection: &mut AsyncPgConnection,
    app: AppId,
) -> QueryResult<()> {
    let query = diesel::sql_query(
        "UPDATE apps SET reserved_addresses = greatest(live_addresses, (
             SELECT coalesce(max(addresses), 0) FROM deployments WHERE app_id = $1 AND finished_at IS NULL))
         WHERE id = $1",
    )
    .bind::<Uuid, _>(app);
    Prepared(query).execute(connection).await?;
    Ok(())
}
