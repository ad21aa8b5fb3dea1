//! What is kept for apps: addresses of their network, and what counts towards their organization's quotas. As much as a
//! deployment may need is kept from its accept on, and what the verdict does not need is given back with it. What an update needs beside
//! the replicas stays kept: what was deployed once can always be deployed again. `networks` and `organization_quotas` hold the sums of
//! their apps, by triggers, which refuse what would be more than a quota.

use diesel::prelude::*;
use diesel::sql_types::{Cidr, Integer, Nullable, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use model::Error;
use model::app::App;
use model::capacity::{Capacity, Need};
use model::error::ErrorCode;
use model::id::{AppId, DeploymentId};

use crate::failure::Failure;
use crate::prepared::Prepared;

/// Keeps what the app may need, where that is more than what is kept for it already. Refused, with the arithmetic, where
/// its network or a quota has not as much left. A statement only where something is to be kept.
pub(crate) async fn reserve(
    connection: &mut AsyncPgConnection,
    app: &App,
    need: Need,
) -> Result<(), Failure> {
    if app.reserved.or_more(need.reserved()) == app.reserved {
        return Ok(());
    }
    // Twice: who waited for a network that was retired meanwhile finds the one that took its place.
    for _ in 0..2 {
        if keep(connection, app, need).await? {
            return Ok(());
        }
    }
    Err(network_full(connection, app, need).await?.into())
}

async fn keep(connection: &mut AsyncPgConnection, app: &App, need: Need) -> Result<bool, Failure> {
    let kept = app.reserved.or_more(need.reserved());
    // Locked, then compared: who waited for the lock compares what the one before has left.
    let query = diesel::sql_query(
        "WITH room AS (
             SELECT id FROM networks
             WHERE environment_id = $2 AND retired_at IS NULL
                 AND ($3 = $4 OR reserved_addresses + $3 - $4 <= network_capacity(subnet))
             FOR NO KEY UPDATE
         )
         UPDATE apps SET reserved_addresses = $3, reserved_tasks = $5, reserved_cpu_millis = $6,
             reserved_memory_mb = $7, reserved_disk_gb = $8
         WHERE id = $1 AND EXISTS (SELECT FROM room)",
    )
    .bind::<Uuid, _>(app.id)
    .bind::<Uuid, _>(app.environment_id)
    .bind::<Integer, _>(kept.addresses)
    .bind::<Integer, _>(app.reserved.addresses)
    .bind::<Integer, _>(kept.tasks)
    .bind::<Integer, _>(kept.cpu_millis)
    .bind::<Integer, _>(kept.memory_mb)
    .bind::<Integer, _>(kept.disk_gb);
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

async fn network_full(
    connection: &mut AsyncPgConnection,
    app: &App,
    need: Need,
) -> QueryResult<Error> {
    let numbers: Numbers = diesel::sql_query(
        "SELECT subnet, reserved_addresses AS reserved, (SELECT nodes FROM swarm_seen) AS nodes
         FROM networks WHERE environment_id = $1 AND retired_at IS NULL",
    )
    .bind::<Uuid, _>(app.environment_id)
    .get_result(connection)
    .await?;
    let of_others = numbers.reserved - app.reserved.addresses;
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
        need.reserved().addresses,
        need.replicas,
        need.surge,
    );
    Ok(Error::new(ErrorCode::NetworkFull, message))
}

/// After a deployment's end: keeps what is live, and what those that wait may need. `is_live`: what the deployment needed is what is
/// live from now on. Before anything else of the verdict that an organization counts: networks are locked before quotas.
pub(crate) async fn reservation_settle(
    connection: &mut AsyncPgConnection,
    (app, deployment): (AppId, DeploymentId),
    is_live: bool,
) -> QueryResult<()> {
    if is_live {
        let query = diesel::sql_query(
            "UPDATE apps SET live_addresses = coalesce(d.addresses, live_addresses), live_tasks = coalesce(d.tasks, live_tasks),
                 live_cpu_millis = coalesce(d.cpu_millis, live_cpu_millis),
                 live_memory_mb = coalesce(d.memory_mb, live_memory_mb), live_disk_gb = coalesce(d.disk_gb, live_disk_gb)
             FROM deployments d WHERE d.id = $1 AND apps.id = d.app_id",
        )
        .bind::<Uuid, _>(deployment);
        Prepared(query).execute(connection).await?;
    }
    let query = diesel::sql_query(
        "UPDATE apps SET reserved_addresses = greatest(live_addresses, coming.addresses),
             reserved_tasks = greatest(live_tasks, coming.tasks),
             reserved_cpu_millis = greatest(live_cpu_millis, coming.cpu_millis),
             reserved_memory_mb = greatest(live_memory_mb, coming.memory_mb),
             reserved_disk_gb = greatest(live_disk_gb, coming.disk_gb)
         FROM (
             SELECT max(addresses) AS addresses, max(tasks) AS tasks, max(cpu_millis) AS cpu_millis,
                 max(memory_mb) AS memory_mb, max(disk_gb) AS disk_gb
             FROM deployments WHERE app_id = $1 AND finished_at IS NULL
         ) coming
         WHERE id = $1",
    )
    .bind::<Uuid, _>(app);
    Prepared(query).execute(connection).await?;
    Ok(())
}
