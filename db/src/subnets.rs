//! The subnet allocator's truth: pools with a cursor, and what is taken of them: networks (under an exclusion constraint),
//! subnets that rest, ranges that are reserved. The arithmetic is `model::subnet`'s.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Cidr};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::{IpNet, Ipv4Net};
use model::error::ErrorCode;
use model::schema::subnet_pools;
use model::subnet::{LONGEST_PREFIX, SHORTEST_PREFIX, after, carve, free_subnets, next_free};
use model::{Error, Result};
use uuid::Uuid;

use crate::failure::Failure;
use crate::now::now;

/// A pool as the allocator sees it: its range, and where it looks next.
pub(crate) struct Pool {
    id: Uuid,
    range: Ipv4Net,
    cursor: Ipv4Net,
}

/// Takes a free subnet of `prefix` bits out of the platform's pools. Locks the pools' rows until the
/// transaction ends, so that two callers never get the same.
pub(crate) async fn subnet_allocate(
    connection: &mut AsyncPgConnection,
    prefix: u8,
) -> Result<Ipv4Net, Failure> {
    let pools = pools_lock(connection).await?;
    for pool in &pools {
        let Some(subnet) = pool_allocate(connection, pool, prefix).await? else { continue };
        let cursor = after(subnet).unwrap_or(pool.range.network());
        diesel::update(subnet_pools::table.find(pool.id))
            .set((
                subnet_pools::cursor.eq(IpNet::from(Ipv4Net::from(cursor))),
                subnet_pools::updated_at.eq(now()),
            ))
            .execute(connection)
            .await?;
        return Ok(subnet);
    }
    Err(exhausted(connection, &pools, prefix).await?)
}

/// All pools, locked: nobody else allocates, and none is taken away meanwhile.
pub(crate) async fn pools_lock(connection: &mut AsyncPgConnection) -> QueryResult<Vec<Pool>> {
    let rows: Vec<(Uuid, IpNet, IpNet)> = subnet_pools::table
        .order(subnet_pools::range)
        .select((subnet_pools::id, subnet_pools::range, subnet_pools::cursor))
        .for_no_key_update()
        .load(connection)
        .await?;
    // Postgres takes no other family here.
    let pools = rows.into_iter().filter_map(|(id, range, cursor)| match (range, cursor) {
        (IpNet::V4(range), IpNet::V4(cursor)) => Some(Pool { id, range, cursor }),
        _ => None,
    });
    Ok(pools.collect())
}

async fn pool_allocate(
    connection: &mut AsyncPgConnection,
    pool: &Pool,
    prefix: u8,
) -> QueryResult<Option<Ipv4Net>> {
    // The usual case, at the same cost however many networks there are: the cursor's place is free.
    if let Some(candidate) = carve(pool.range, pool.cursor.addr(), prefix)
        && !is_taken(connection, candidate).await?
    {
        return Ok(Some(candidate));
    }
    let taken = taken_of(connection, pool.range).await?;
    Ok(next_free(pool.range, pool.cursor.addr(), prefix, &taken))
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

async fn is_taken(connection: &mut AsyncPgConnection, range: Ipv4Net) -> QueryResult<bool> {
    let found: Taken =
        diesel::sql_query("SELECT EXISTS (SELECT FROM taken_ranges WHERE range && $1) AS taken")
            .bind::<Cidr, _>(IpNet::from(range))
            .get_result(connection)
            .await?;
    Ok(found.taken)
}

#[derive(QueryableByName)]
struct TakenRange {
    #[diesel(sql_type = Cidr)]
    range: IpNet,
}

/// What is taken of a range, by anything.
async fn taken_of(connection: &mut AsyncPgConnection, range: Ipv4Net) -> QueryResult<Vec<Ipv4Net>> {
    let found: Vec<TakenRange> =
        diesel::sql_query("SELECT range FROM taken_ranges WHERE range && $1")
            .bind::<Cidr, _>(IpNet::from(range))
            .load(connection)
            .await?;
    let taken = found.into_iter().filter_map(|taken| match taken.range {
        IpNet::V4(range) => Some(range),
        IpNet::V6(_) => None,
    });
    Ok(taken.collect())
}

/// Says what is left.
async fn exhausted(
    connection: &mut AsyncPgConnection,
    pools: &[Pool],
    prefix: u8,
) -> QueryResult<Failure> {
    let mut taken = Vec::new();
    for pool in pools {
        taken.push(taken_of(connection, pool.range).await?);
    }
    let left = |prefix| -> u64 {
        let of_each = pools.iter().zip(&taken);
        of_each.map(|(pool, taken)| free_subnets(pool.range, prefix, taken)).sum()
    };
    let size: u64 = pools
        .iter()
        .map(|pool| pool.range.subnets(prefix).map_or(0, |subnets| subnets.count() as u64))
        .sum();
    let smaller: Vec<String> = (SHORTEST_PREFIX..=LONGEST_PREFIX)
        .filter(|other| *other > prefix)
        .map(|other| format!("{} of /{other}", left(other)))
        .collect();
    let rest = if smaller.is_empty() {
        "nothing smaller can be had".to_owned()
    } else {
        format!("left are {}", smaller.join(", "))
    };
    Ok(Failure::Refused(Error::new(
        ErrorCode::SubnetsExhausted,
        format!(
            "no subnet of /{prefix} is left: the platform's pools hold {size}, and each is taken, reserved or freed \
             only minutes ago; {rest}; remove an environment, or ask the operator for another pool"
        ),
    )))
}
