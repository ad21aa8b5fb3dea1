//! What the networks' subnets are carved from, and what they are kept away from. For operators.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use db::OperatorScope;
use db::reserved_ranges::{reserved_range_create, reserved_range_delete, reserved_range_list};
use db::subnet_pools::{PoolRow, pool_create, pool_delete, pool_list};
use ipnet::Ipv4Net;
use model::Error;
use model::error::Violation;
use model::id::{ReservedRangeId, SubnetPoolId};
use model::subnet::DEFAULT_PREFIX;
use model::subnet_pool::{ReservedBy, ReservedRange, SubnetPool};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use validator::Validate;

use super::Tag;
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoints of pools and reserved ranges.
pub(crate) struct Subnets;

/// A new pool.
#[derive(Debug, Object, Validate)]
pub(crate) struct SubnetPoolCreate {
    /// An IPv4 range in CIDR notation, /8 to /26, of its own: outside every other pool and every reserved range.
    #[oai(validator(
        min_length = 9,
        max_length = 18,
        pattern = "^(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}/([89]|1[0-9]|2[0-6])$"
    ))]
    range: String,
}

/// A pool, as it was made.
#[derive(Debug, Object)]
#[oai(rename = "SubnetPool")]
pub(crate) struct SubnetPoolObject {
    /// Its id (`pool_…`).
    id: String,
    /// The range, in CIDR notation.
    range: String,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<SubnetPool> for SubnetPoolObject {
    fn from(row: SubnetPool) -> Self {
        Self { id: row.id.to_string(), range: row.range.to_string(), created_at: row.created_at }
    }
}

/// A pool and how it is used.
#[derive(Debug, Object)]
pub(crate) struct SubnetPoolUse {
    /// The pool.
    #[oai(flatten)]
    pool: SubnetPoolObject,
    /// Networks that were carved from it and are there.
    networks: i64,
    /// Of those, how many were carved in the last 30 days.
    networks_last_30_days: i64,
    /// How many subnets could be carved now, by prefix length (`"24"`): neither taken, nor reserved, nor freed only
    /// minutes ago. A larger one counts as each of the smaller ones that fit into it.
    free: BTreeMap<String, u64>,
    /// Days until no subnet of /24 is left, if networks go on being made as in the last 30 days; `null`: none were.
    full_in_days: Option<u64>,
}

impl From<PoolRow> for SubnetPoolUse {
    fn from(row: PoolRow) -> Self {
        let usual = row.free.iter().find(|(prefix, _)| *prefix == DEFAULT_PREFIX);
        let free = usual.map_or(0, |(_, free)| *free);
        let lately = row.networks_lately.unsigned_abs();
        Self {
            pool: row.pool.into(),
            networks: row.networks,
            networks_last_30_days: row.networks_lately,
            free: row.free.iter().map(|(prefix, free)| (prefix.to_string(), *free)).collect(),
            full_in_days: (lately > 0).then(|| free.saturating_mul(30) / lately),
        }
    }
}

/// The platform's pools, in the order in which they are carved from.
#[derive(Debug, Object)]
pub(crate) struct SubnetPoolList {
    /// All of them.
    items: Vec<SubnetPoolUse>,
}

/// The answer to a new pool.
#[derive(ApiResponse)]
pub(crate) enum SubnetPoolCreated {
    /// New networks are carved from it when the pools before it are full.
    #[oai(status = 201)]
    Created(Json<SubnetPoolObject>),
}

/// The answer to a pool that was taken away.
#[derive(ApiResponse)]
pub(crate) enum SubnetPoolDeleted {
    /// Nothing is carved from it any more.
    #[oai(status = 204)]
    Deleted,
}

/// A new reserved range.
#[derive(Debug, Object, Validate)]
pub(crate) struct ReservedRangeCreate {
    /// An IPv4 range in CIDR notation: what your nodes route elsewhere.
    #[oai(validator(
        min_length = 9,
        max_length = 18,
        pattern = "^(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}/(3[0-2]|[12]?[0-9])$"
    ))]
    range: String,
    /// What it is, for who is refused because of it.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    note: String,
}

/// A range that no network is given.
#[derive(Debug, Object)]
#[oai(rename = "ReservedRange")]
pub(crate) struct ReservedRangeObject {
    /// Its id (`rng_…`).
    id: String,
    /// The range, in CIDR notation.
    range: String,
    /// Who knows of it: an operator said so, or a worker found it in use in Docker, or routed elsewhere by a node.
    source: Word<ReservedBy>,
    /// What it is.
    note: String,
    /// When a worker saw it last; `null`: an operator's.
    seen_at: Option<DateTime<Utc>>,
    /// When it was written down.
    created_at: DateTime<Utc>,
}

impl From<ReservedRange> for ReservedRangeObject {
    fn from(row: ReservedRange) -> Self {
        Self {
            id: row.id.to_string(),
            range: row.range.to_string(),
            source: Word(row.source),
            note: row.note,
            seen_at: row.seen_at,
            created_at: row.created_at,
        }
    }
}

/// The answer to a reserved range.
#[derive(ApiResponse)]
pub(crate) enum ReservedRangeCreated {
    /// No new network is carved from it. Those that are there stay.
    #[oai(status = 201)]
    Created(Json<ReservedRangeObject>),
}

/// The answer to a range that is reserved no more.
#[derive(ApiResponse)]
pub(crate) enum ReservedRangeDeleted {
    /// It is free.
    #[oai(status = 204)]
    Deleted,
}

fn range(text: &str) -> Result<Ipv4Net, Error> {
    let rule = "an IPv4 range in CIDR notation, as 10.64.0.0/12 is";
    let parsed: Result<Ipv4Net, _> = text.parse();
    // Of an address inside it, the range that it is in.
    parsed
        .map(|range| range.trunc())
        .map_err(|_| Error::invalid(vec![Violation::new("range", rule)]))
}

#[OpenApi(tag = "Tag::Platform")]
impl Subnets {
    /// List the subnet pools
    ///
    /// With their use and a forecast, in the order in which they are carved from. For operators.
    #[oai(path = "/v1/admin/subnet-pools", method = "get", operation_id = "subnet_pool_list")]
    async fn pools(
        &self,
        access: Access<action::SubnetsCount, OperatorScope>,
    ) -> Result<Json<SubnetPoolList>, Problem> {
        let rows = pool_list(&access.state.database, access.scope).await?;
        Ok(Json(SubnetPoolList { items: rows.into_iter().map(SubnetPoolUse::from).collect() }))
    }

    /// Add a subnet pool
    ///
    /// Refused where it overlaps another pool or a reserved range. For operators.
    #[oai(path = "/v1/admin/subnet-pools", method = "post", operation_id = "subnet_pool_create")]
    async fn add_pool(
        &self,
        access: Access<action::PlatformOperate, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<SubnetPoolCreate>,
    ) -> Result<Done<SubnetPoolCreated>, Problem> {
        let request = access.request(key.with(&body));
        let range = range(&body.value.range)?;
        let answer = |made: SubnetPool| kept(SubnetPoolCreated::Created(Json(made.into())));
        let database = &access.state.database;
        Ok(Done::of(pool_create(database, access.scope, range, &request, answer).await?)?)
    }

    /// Take a subnet pool away
    ///
    /// Refused while a network is carved from it. For operators.
    #[oai(
        path = "/v1/admin/subnet-pools/:pool",
        method = "delete",
        operation_id = "subnet_pool_delete"
    )]
    async fn delete_pool(
        &self,
        access: Access<action::PlatformOperate, OperatorScope>,
        InPath(id): InPath<SubnetPoolId>,
    ) -> Result<SubnetPoolDeleted, Problem> {
        let request = access.request(None);
        pool_delete(&access.state.database, access.scope, id, &request).await?;
        Ok(SubnetPoolDeleted::Deleted)
    }

    /// List the reserved ranges
    ///
    /// What no new network is carved from. Oldest first. For operators.
    #[oai(path = "/v1/admin/reserved-ranges", method = "get", operation_id = "reserved_range_list")]
    async fn reserved(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<ReservedRangeObject>>, Problem> {
        let page = reserved_range_list(&access.state.database, access.scope, page).await?;
        Ok(Json(PageObject::of(page, ReservedRangeObject::from)))
    }

    /// Reserve a range
    ///
    /// For operators: what no node shows by itself, such as ranges that are kept for later.
    #[oai(
        path = "/v1/admin/reserved-ranges",
        method = "post",
        operation_id = "reserved_range_create"
    )]
    async fn reserve(
        &self,
        access: Access<action::PlatformOperate, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<ReservedRangeCreate>,
    ) -> Result<Done<ReservedRangeCreated>, Problem> {
        let request = access.request(key.with(&body));
        let ReservedRangeCreate { range: text, note } = body.value;
        let range = range(&text)?;
        let answer = |made: ReservedRange| kept(ReservedRangeCreated::Created(Json(made.into())));
        let database = &access.state.database;
        let answered =
            reserved_range_create(database, access.scope, range, &note, &request, answer).await?;
        Ok(Done::of(answered)?)
    }

    /// Free a reserved range
    ///
    /// One that an operator reserved. For operators.
    #[oai(
        path = "/v1/admin/reserved-ranges/:reserved_range",
        method = "delete",
        operation_id = "reserved_range_delete"
    )]
    async fn free(
        &self,
        access: Access<action::PlatformOperate, OperatorScope>,
        InPath(id): InPath<ReservedRangeId>,
    ) -> Result<ReservedRangeDeleted, Problem> {
        let request = access.request(None);
        reserved_range_delete(&access.state.database, access.scope, id, &request).await?;
        Ok(ReservedRangeDeleted::Deleted)
    }
}
