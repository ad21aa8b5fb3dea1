//! The platform's pools, for operators: what they hold, how much of it is taken, and how long it will last.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Cidr, Timestamptz, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use ipnet::{IpNet, Ipv4Net};
use model::error::ErrorCode;
use model::id::SubnetPoolId;
use model::policy::access::Action;
use model::schema::subnet_pools;
use model::subnet::{LONGEST_PREFIX, SHORTEST_PREFIX, free_subnets};
use model::subnet_pool::{MAX_POOLS, SubnetPool, check_pool};
use model::{Error, Result};

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::OperatorScope;
use crate::subnets::pools_lock;

/// A pool and how it is used.
#[derive(Debug, Clone)]
pub struct PoolRow {
    /// The pool.
    pub pool: SubnetPool,
    /// Networks that were carved from it.
    pub networks: i64,
    /// Of those, how many were in the last 30 days.
    pub networks_lately: i64,
    /// How many subnets of each prefix length could be carved now.
    pub free: Vec<(u8, u64)>,
}

#[derive(QueryableByName)]
struct UsedPool {
    #[diesel(sql_type = Uuid)]
    id: SubnetPoolId,
    #[diesel(sql_type = Cidr)]
    range: IpNet,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Array<Cidr>)]
    taken: Vec<IpNet>,
    #[diesel(sql_type = BigInt)]
    networks: i64,
    #[diesel(sql_type = BigInt)]
    networks_lately: i64,
}

impl From<UsedPool> for PoolRow {
    fn from(row: UsedPool) -> Self {
        let taken: Vec<Ipv4Net> = row.taken.into_iter().filter_map(ipv4).collect();
        let free = |prefix| ipv4(row.range).map_or(0, |range| free_subnets(range, prefix, &taken));
        Self {
            pool: SubnetPool { id: row.id, range: row.range, created_at: row.created_at },
            networks: row.networks,
            networks_lately: row.networks_lately,
            free: (SHORTEST_PREFIX..=LONGEST_PREFIX).map(|prefix| (prefix, free(prefix))).collect(),
        }
    }
}

/// Postgres takes no other family here.
const fn ipv4(range: IpNet) -> Option<Ipv4Net> {
    match range {
        IpNet::V4(range) => Some(range),
        IpNet::V6(_) => None,
    }
}

/// All pools, in the order in which they are carved from.
pub async fn pool_list(database: &Database, operator: OperatorScope) -> Result<Vec<PoolRow>> {
    operator.require(Action::PlatformRead)?;
    let mut connection = database.platform(operator).await?;
    let rows: Vec<UsedPool> = diesel::sql_query(
        "SELECT p.id, p.range, p.created_at, t.taken, n.networks, n.networks_lately
         FROM subnet_pools p
         CROSS JOIN LATERAL (
             SELECT coalesce(array_agg(range), '{}') AS taken FROM taken_ranges WHERE range && p.range
         ) t
         CROSS JOIN LATERAL (
             SELECT count(*) AS networks,
                 count(*) FILTER (WHERE created_at > now() - interval '30 days') AS networks_lately
             FROM networks WHERE subnet && p.range
         ) n
         ORDER BY p.range",
    )
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(rows.into_iter().map(PoolRow::from).collect())
}

/// Adds a pool. Refused where it overlaps another pool, or what is reserved.
pub async fn pool_create(
    database: &Database,
    operator: OperatorScope,
    range: Ipv4Net,
    request: &Request,
    answer: impl Fn(SubnetPool) -> Result<Answer> + Sync,
) -> Result<Answered> {
    operator.require(Action::PlatformOperate)?;
    check_pool(range)?;
    let mut connection = database.platform(operator).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            diesel::sql_query("LOCK TABLE subnet_pools IN SHARE ROW EXCLUSIVE MODE")
                .execute(connection)
                .await?;
            refuse_overlap(connection, range).await?;
            let made: SubnetPool = diesel::insert_into(subnet_pools::table)
                .values((
                    subnet_pools::id.eq(SubnetPoolId::new()),
                    subnet_pools::range.eq(IpNet::from(range)),
                    subnet_pools::cursor.eq(IpNet::from(Ipv4Net::from(range.network()))),
                ))
                .returning(SubnetPool::as_returning())
                .get_result(connection)
                .await?;
            let mutation = Mutation {
                organization: None,
                action: "subnet_pool.create",
                object: made.id.to_string(),
                before: None,
                after: Some(serde_json::json!({ "range": made.range })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

async fn refuse_overlap(connection: &mut AsyncPgConnection, range: Ipv4Net) -> Result<(), Failure> {
    let wanted = IpNet::from(range);
    let count: i64 = subnet_pools::table.count().get_result(connection).await?;
    if count >= MAX_POOLS {
        let message = format!("there are {count} pools, and no more than {MAX_POOLS} may be");
        return Err(Error::new(ErrorCode::TooMany, message).into());
    }
    let overlapping: Vec<Overlapping> = diesel::sql_query(
        "SELECT range, 'the pool' AS what FROM subnet_pools WHERE range && $1
         UNION ALL SELECT range, note FROM reserved_ranges WHERE range && $1
         LIMIT 5",
    )
    .bind::<Cidr, _>(wanted)
    .load(connection)
    .await?;
    if overlapping.is_empty() {
        return Ok(());
    }
    let told: Vec<String> =
        overlapping.iter().map(|other| format!("{} ({})", other.range, other.what)).collect();
    let message =
        format!("{range} overlaps {}: containers there would not be reached", told.join(", "));
    Err(Error::new(ErrorCode::Overlap, message).into())
}

#[derive(QueryableByName)]
struct Overlapping {
    #[diesel(sql_type = Cidr)]
    range: IpNet,
    #[diesel(sql_type = diesel::sql_types::Text)]
    what: String,
}

/// Takes a pool away. Refused while a network is carved from it.
pub async fn pool_delete(
    database: &Database,
    operator: OperatorScope,
    id: SubnetPoolId,
    request: &Request,
) -> Result<()> {
    operator.require(Action::PlatformOperate)?;
    let mut connection = database.platform(operator).await?;
    connection
        .transaction(async |connection| {
            // Nobody carves from it meanwhile.
            pools_lock(connection).await?;
            let used: Option<UsedPool> = diesel::sql_query(
                "SELECT p.id, p.range, p.created_at, '{}'::cidr[] AS taken, 0::bigint AS networks_lately,
                     (SELECT count(*) FROM networks WHERE subnet && p.range) AS networks
                 FROM subnet_pools p WHERE p.id = $1",
            )
            .bind::<Uuid, _>(id)
            .get_result(connection)
            .await
            .optional()?;
            let used = used.ok_or_else(|| Error::not_found("pool"))?;
            if used.networks > 0 {
                let message = format!(
                    "{} networks are carved from {}: it can be taken away when their environments are gone",
                    used.networks, used.range
                );
                return Err(Error::new(ErrorCode::InUse, message).into());
            }
            diesel::delete(subnet_pools::table.find(id)).execute(connection).await?;
            let mutation = Mutation {
                organization: None,
                action: "subnet_pool.delete",
                object: id.to_string(),
                before: Some(serde_json::json!({ "range": used.range })),
                after: None,
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

/// The ranges of all pools. For workers.
pub async fn pool_ranges(database: &Database) -> Result<Vec<IpNet>> {
    let mut connection = database.connection().await?;
    subnet_pools::table
        .select(subnet_pools::range)
        .load(&mut connection)
        .await
        .map_err(failure::postgres)
}
