//! The subnet allocator's truth: pools with a cursor, networks under an exclusion constraint. The
//! arithmetic is `model::subnet`'s.

use diesel::dsl::{exists, select};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use ipnet::{IpNet, Ipv4Net};
use model::error::ErrorCode;
use model::schema::{networks, subnet_pools};
use model::{Error, subnet};
use uuid::Uuid;

use crate::failure::Failure;
use crate::now::now;

/// Takes a free subnet of `prefix` bits out of the platform's pools. Locks the pool's row until the
/// transaction ends, so that two callers never get the same.
pub(crate) async fn subnet_allocate(
    connection: &mut AsyncPgConnection,
    prefix: u8,
) -> Result<Ipv4Net, Failure> {
    let pools: Vec<(Uuid, IpNet, IpNet)> = subnet_pools::table
        .order(subnet_pools::range)
        .select((subnet_pools::id, subnet_pools::range, subnet_pools::cursor))
        .for_no_key_update()
        .load(connection)
        .await?;
    let mut size = 0u64;
    for (id, range, cursor) in pools {
        let (IpNet::V4(range), IpNet::V4(cursor)) = (range, cursor) else { continue };
        size += range.subnets(prefix).map_or(0, |subnets| subnets.count() as u64);
        let Some(subnet) = pool_allocate(connection, range, cursor, prefix).await? else {
            continue;
        };
        let cursor = subnet::after(subnet).unwrap_or(range.network());
        diesel::update(subnet_pools::table.find(id))
            .set((
                subnet_pools::cursor.eq(IpNet::from(Ipv4Net::from(cursor))),
                subnet_pools::updated_at.eq(now()),
            ))
            .execute(connection)
            .await?;
        return Ok(subnet);
    }
    Err(Failure::Refused(Error::new(
        ErrorCode::SubnetsExhausted,
        format!(
            "no subnet of /{prefix} is left: the platform's pools hold {size} and all are taken; \
             remove an environment or ask the operator for a larger pool"
        ),
    )))
}

async fn pool_allocate(
    connection: &mut AsyncPgConnection,
    range: Ipv4Net,
    cursor: Ipv4Net,
    prefix: u8,
) -> Result<Option<Ipv4Net>, Failure> {
    // The usual case, at the same cost however many networks there are: the cursor's place is free.
    if let Some(candidate) = subnet::carve(range, cursor.addr(), prefix) {
        let overlapping =
            networks::table.filter(networks::subnet.overlaps_with(IpNet::from(candidate)));
        if !select(exists(overlapping)).get_result::<bool>(connection).await? {
            return Ok(Some(candidate));
        }
    }
    let taken: Vec<IpNet> = networks::table
        .filter(networks::subnet.is_contained_by_or_eq(IpNet::from(range)))
        .select(networks::subnet)
        .load(connection)
        .await?;
    let taken: Vec<Ipv4Net> = taken
        .into_iter()
        .filter_map(|taken| match taken {
            IpNet::V4(taken) => Some(taken),
            IpNet::V6(_) => None,
        })
        .collect();
    Ok(subnet::next_free(range, cursor.addr(), prefix, &taken))
}
