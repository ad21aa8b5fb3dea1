//! The audit log's chains in Postgres: rows get their place and their hash some seconds after they were
//! written, by a worker; and are read back to be verified. Neither changes a row of the log.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use model::audit::chain::{FIRST, LinkHash, LinkedRow};
use model::{Error, Result};
use uuid::Uuid;

use crate::failure::{self, Failure};
use crate::pool::Database;

/// One process at a time makes chains longer: the key of that advisory lock.
const LOCK: i64 = 0x736b_6570_6175_6469;

/// A row's columns as they are hashed, of `audit_log l`. `jsonb` is hashed as Postgres writes it: that names
/// each key once, in one order.
const COLUMNS: &str =
    "l.id::text AS id, l.organization_id::text AS organization, l.token_id::text AS token,
    l.user_id::text AS person, l.action, l.object, l.before::text AS before, l.after::text AS after,
    l.request_id AS request, l.address, l.result,
    (extract(epoch FROM l.created_at) * 1000000)::bigint AS created_at";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Nullable<Text>)]
    organization: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    token: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    person: Option<String>,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    object: String,
    #[diesel(sql_type = Nullable<Text>)]
    before: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    after: Option<String>,
    #[diesel(sql_type = Text)]
    request: String,
    #[diesel(sql_type = Nullable<Text>)]
    address: Option<String>,
    #[diesel(sql_type = Text)]
    result: String,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

impl Row {
    fn link(&self, previous: &LinkHash, number: i64) -> LinkHash {
        let row = LinkedRow {
            id: &self.id,
            organization: self.organization.as_deref(),
            token: self.token.as_deref(),
            user: self.person.as_deref(),
            action: &self.action,
            object: &self.object,
            before: self.before.as_deref(),
            after: self.after.as_deref(),
            request: &self.request,
            address: self.address.as_deref(),
            result: &self.result,
            created_at: self.created_at,
        };
        row.link(previous, number)
    }
}

/// A row that has no place in a chain yet.
#[derive(QueryableByName)]
struct Unchained {
    #[diesel(sql_type = SqlUuid)]
    audit_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    chain: Uuid,
    #[diesel(embed)]
    row: Row,
}

/// The end of a chain.
#[derive(QueryableByName)]
struct Head {
    #[diesel(sql_type = SqlUuid)]
    chain: Uuid,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    is_so: bool,
}

/// Gives at most `limit` rows their places, oldest first; returns how many there were. None where another
/// process is at it.
pub async fn audit_chain_extend(database: &Database, limit: i64) -> Result<usize> {
    let mut connection = database.connection().await?;
    let extended: Result<usize, Failure> = connection
        .transaction(async |connection| {
            let lock: Answer = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS is_so")
                .bind::<BigInt, _>(LOCK)
                .get_result(connection)
                .await?;
            if !lock.is_so {
                return Ok(0);
            }
            let rows: Vec<Unchained> = diesel::sql_query(format!(
                "SELECT u.audit_id, coalesce(l.organization_id, $2) AS chain, {COLUMNS}
                 FROM audit_unchained u JOIN audit_log l ON l.id = u.audit_id
                 ORDER BY u.audit_id LIMIT $1"
            ))
            .bind::<BigInt, _>(limit)
            .bind::<SqlUuid, _>(Uuid::nil())
            .load(connection)
            .await?;
            if rows.is_empty() {
                return Ok(0);
            }
            let chains: Vec<Uuid> = rows.iter().map(|row| row.chain).collect();
            let heads: Vec<Head> = diesel::sql_query(
                "SELECT c.chain, h.number, h.hash
                 FROM (SELECT DISTINCT unnest($1) AS chain) c
                 CROSS JOIN LATERAL (
                     SELECT number, hash FROM audit_chain WHERE organization_id = c.chain
                     ORDER BY number DESC LIMIT 1) h",
            )
            .bind::<Array<SqlUuid>, _>(&chains)
            .load(connection)
            .await?;
            let mut ends = HashMap::new();
            for head in heads {
                ends.insert(head.chain, (head.number, hash_of(&head.hash)?));
            }
            let mut numbers = Vec::with_capacity(rows.len());
            let mut hashes = Vec::with_capacity(rows.len());
            for Unchained { chain, row, .. } in &rows {
                let (number, hash) = ends.entry(*chain).or_insert((0, FIRST));
                *number += 1;
                *hash = row.link(hash, *number);
                numbers.push(*number);
                hashes.push(hash.to_vec());
            }
            let ids: Vec<Uuid> = rows.iter().map(|row| row.audit_id).collect();
            diesel::sql_query(
                "WITH chained AS (DELETE FROM audit_unchained WHERE audit_id = ANY ($3))
                 INSERT INTO audit_chain (organization_id, number, audit_id, hash)
                 SELECT * FROM unnest($1, $2, $3, $4)",
            )
            .bind::<Array<SqlUuid>, _>(&chains)
            .bind::<Array<BigInt>, _>(&numbers)
            .bind::<Array<SqlUuid>, _>(&ids)
            .bind::<Array<Binary>, _>(&hashes)
            .execute(connection)
            .await?;
            Ok(rows.len())
        })
        .await;
    Ok(extended?)
}

/// Where a chain stops being whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The number of the first link that is not as it should be.
    pub number: i64,
    /// What is wrong with it.
    pub what: &'static str,
}

/// What verifying a chain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is; the nil id: the platform's own.
    pub chain: Uuid,
    /// The organization's slug.
    pub slug: Option<String>,
    /// How many links were found whole.
    pub links: i64,
    /// The hash of the last of them: kept elsewhere, it vouches for all before it.
    pub hash: LinkHash,
    /// Where it breaks; `None`: it is whole.
    pub broken: Option<Break>,
}

#[derive(QueryableByName)]
struct Chain {
    #[diesel(sql_type = SqlUuid)]
    chain: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    slug: Option<String>,
}

/// Every chain there is.
async fn chains(database: &Database) -> Result<Vec<Chain>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT c.organization_id AS chain, o.slug
         FROM (SELECT DISTINCT coalesce(organization_id, '00000000-0000-0000-0000-000000000000')
                   AS organization_id FROM audit_log
               UNION SELECT DISTINCT organization_id FROM audit_chain) c
         LEFT JOIN organizations o ON o.id = c.organization_id ORDER BY o.slug NULLS FIRST, 1",
    )
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}

/// A link, with the row that it is of.
#[derive(QueryableByName)]
struct Link {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
    #[diesel(sql_type = SqlUuid)]
    chain_of_row: Uuid,
    #[diesel(embed)]
    row: Row,
}

/// Verifies every chain, link by link, in pages of `page`. For who may read every row: a worker, or the owner.
pub async fn audit_chain_verify(database: &Database, page: i64) -> Result<Vec<Verified>> {
    let mut found = Vec::new();
    for Chain { chain, slug } in chains(database).await? {
        let mut verified = Verified { chain, slug, links: 0, hash: FIRST, broken: None };
        while verified.broken.is_none() {
            let links = links_after(database, chain, verified.links, page).await?;
            if links.is_empty() {
                break;
            }
            verified.broken = links.iter().find_map(|link| check(&mut verified, link));
        }
        if verified.broken.is_none() {
            let number = verified.links + 1;
            let what = loose_end(database, chain, verified.links).await?;
            verified.broken = what.map(|what| Break { number, what });
        }
        found.push(verified);
    }
    Ok(found)
}

/// Checks the next link; it counts where it is whole.
fn check(verified: &mut Verified, link: &Link) -> Option<Break> {
    let number = verified.links + 1;
    let what = if link.number != number {
        "it is missing"
    } else if link.chain_of_row != verified.chain {
        "its row is another organization's"
    } else if link.row.link(&verified.hash, number).as_slice() != link.hash {
        "its row, or one before it, was changed"
    } else {
        verified.links = number;
        verified.hash = link.row.link(&verified.hash, number);
        return None;
    };
    Some(Break { number, what })
}

async fn links_after(database: &Database, chain: Uuid, after: i64, page: i64) -> Result<Vec<Link>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(format!(
        "SELECT c.number, c.hash,
             coalesce(l.organization_id, '00000000-0000-0000-0000-000000000000') AS chain_of_row,
             {COLUMNS}
         FROM audit_chain c JOIN audit_log l ON l.id = c.audit_id
         WHERE c.organization_id = $1 AND c.number > $2 ORDER BY c.number LIMIT $3"
    ))
    .bind::<SqlUuid, _>(chain)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(page)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}

#[derive(QueryableByName)]
struct LooseEnds {
    #[diesel(sql_type = Bool)]
    without_row: bool,
    #[diesel(sql_type = Bool)]
    without_link: bool,
}

/// What is wrong behind a chain's last whole link: a link whose row is gone, or a row that no link is of.
async fn loose_end(database: &Database, chain: Uuid, links: i64) -> Result<Option<&'static str>> {
    let mut connection = database.connection().await?;
    let found: LooseEnds = diesel::sql_query(
        "SELECT EXISTS (
             SELECT FROM audit_chain c WHERE c.organization_id = $1 AND c.number > $2
               AND NOT EXISTS (SELECT FROM audit_log l WHERE l.id = c.audit_id)) AS without_row,
         EXISTS (
             SELECT FROM audit_log l
             WHERE l.organization_id IS NOT DISTINCT FROM nullif($1, $3)
               AND NOT EXISTS (SELECT FROM audit_chain c WHERE c.audit_id = l.id)
               AND NOT EXISTS (SELECT FROM audit_unchained u WHERE u.audit_id = l.id)) AS without_link",
    )
    .bind::<SqlUuid, _>(chain)
    .bind::<BigInt, _>(links)
    .bind::<SqlUuid, _>(Uuid::nil())
    .get_result(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(match found {
        LooseEnds { without_row: true, .. } => Some("its row is gone"),
        LooseEnds { without_link: true, .. } => Some("a row was written past the log"),
        LooseEnds { .. } => None,
    })
}

fn hash_of(bytes: &[u8]) -> Result<LinkHash> {
    bytes.try_into().map_err(|error: std::array::TryFromSliceError| Error::internal(error))
}
