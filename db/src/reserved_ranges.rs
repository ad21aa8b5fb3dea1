//! Ranges that no network is given: what operators name, and what workers find in use on the nodes.

use diesel::prelude::*;
use diesel::sql_types::{Array, Cidr, Text};
use diesel_async::{AsyncConnection, RunQueryDsl};
use ipnet::{IpNet, Ipv4Net};
use model::error::{ErrorCode, Violation};
use model::id::ReservedRangeId;
use model::policy::access::Action;
use model::schema::reserved_ranges;
use model::subnet_pool::{MAX_RESERVED, ReservedBy, ReservedRange};
use model::{Error, Result};

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure, violates_unique};
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::OperatorScope;

/// A range that a worker found in use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenRange {
    /// The range.
    pub range: Ipv4Net,
    /// What it is.
    pub note: String,
}

/// All reserved ranges, oldest first.
pub async fn reserved_range_list(
    database: &Database,
    operator: OperatorScope,
    page: PageRequest,
) -> Result<Page<ReservedRange>> {
    operator.require(Action::PlatformRead)?;
    let mut connection = database.platform(operator).await?;
    let mut query = reserved_ranges::table
        .select(ReservedRange::as_select())
        .order(reserved_ranges::id)
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(reserved_ranges::id.gt(ReservedRangeId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |row: &ReservedRange| row.id.as_uuid()))
}

/// Reserves a range. Networks that are there already stay where they are.
pub async fn reserved_range_create(
    database: &Database,
    operator: OperatorScope,
    range: Ipv4Net,
    note: &str,
    request: &Request,
    answer: impl Fn(ReservedRange) -> Result<Answer> + Sync,
) -> Result<Answered> {
    operator.require(Action::PlatformOperate)?;
    if range.addr() != range.network() {
        let rule = format!("the first address of a range, as {} is", range.trunc());
        return Err(Error::invalid(vec![Violation::new("range", rule)]));
    }
    let mut connection = database.platform(operator).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let count: i64 = reserved_ranges::table
                .filter(reserved_ranges::source.eq(ReservedBy::Operator))
                .count()
                .get_result(connection)
                .await?;
            if count >= MAX_RESERVED {
                let message =
                    format!("{count} ranges are reserved, and no more than {MAX_RESERVED} may be");
                return Err(Error::new(ErrorCode::TooMany, message).into());
            }
            let made: ReservedRange = diesel::insert_into(reserved_ranges::table)
                .values((
                    reserved_ranges::id.eq(ReservedRangeId::new()),
                    reserved_ranges::range.eq(IpNet::from(range)),
                    reserved_ranges::source.eq(ReservedBy::Operator),
                    reserved_ranges::note.eq(note),
                ))
                .returning(ReservedRange::as_returning())
                .get_result(connection)
                .await
                .map_err(|error| {
                    if violates_unique(&error, "reserved_ranges_range_source_note_key") {
                        let message = format!("{range} is reserved already, with the same note");
                        Failure::Refused(Error::new(ErrorCode::AlreadyExists, message))
                    } else {
                        Failure::from(error)
                    }
                })?;
            let mutation = Mutation {
                organization: None,
                action: "reserved_range.create",
                object: made.id.to_string(),
                before: None,
                after: Some(serde_json::json!({ "range": made.range, "note": made.note })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Gives a range free again that an operator reserved.
pub async fn reserved_range_delete(
    database: &Database,
    operator: OperatorScope,
    id: ReservedRangeId,
    request: &Request,
) -> Result<()> {
    operator.require(Action::PlatformOperate)?;
    let mut connection = database.platform(operator).await?;
    connection
        .transaction(async |connection| {
            let found: Option<ReservedRange> = reserved_ranges::table
                .find(id)
                .select(ReservedRange::as_select())
                .first(connection)
                .await
                .optional()?;
            let found = found.ok_or_else(|| Error::not_found("reserved range"))?;
            let used = match found.source {
                ReservedBy::Operator => None,
                ReservedBy::Docker => Some("in use in Docker"),
                ReservedBy::Node => Some("routed elsewhere by a node"),
            };
            if let Some(used) = used {
                let message = format!(
                    "{} is {used} ({}): it is free when that is not there any more",
                    found.range, found.note
                );
                return Err(Error::new(ErrorCode::InUse, message).into());
            }
            diesel::delete(reserved_ranges::table.find(id)).execute(connection).await?;
            let mutation = Mutation {
                organization: None,
                action: "reserved_range.delete",
                object: id.to_string(),
                before: Some(serde_json::json!({ "range": found.range, "note": found.note })),
                after: None,
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

/// What is in use on the nodes now, of what one source knows (any but operators): each range with what it is. What was seen before
/// and is not among them is free again after an hour, in which the node that it was seen on may only have been away. For workers.
pub async fn reserved_ranges_seen(
    database: &Database,
    source: ReservedBy,
    seen: &[SeenRange],
) -> Result<()> {
    let ranges: Vec<IpNet> = seen.iter().map(|seen| IpNet::from(seen.range)).collect();
    let notes: Vec<&str> = seen.iter().map(|seen| seen.note.as_str()).collect();
    let ids: Vec<uuid::Uuid> = seen.iter().map(|_| ReservedRangeId::new().as_uuid()).collect();
    let mut connection = database.connection().await?;
    // Written seldom: what is there is seen twice a minute, by each worker.
    diesel::sql_query(
        "INSERT INTO reserved_ranges (id, range, source, note, seen_at)
         SELECT id, range, $3, note, now() FROM unnest($1, $2, $4) AS seen (id, range, note)
         ON CONFLICT (range, source, note) DO UPDATE SET seen_at = now(), updated_at = now()
         WHERE reserved_ranges.seen_at < now() - interval '10 minutes'",
    )
    .bind::<Array<diesel::sql_types::Uuid>, _>(ids)
    .bind::<Array<Cidr>, _>(ranges)
    .bind::<Text, _>(source)
    .bind::<Array<Text>, _>(notes)
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    // Afterwards: what is seen again after an hour without a worker is there. What other sources know, they have to look at first.
    diesel::sql_query(
        "DELETE FROM reserved_ranges WHERE source = $1 AND source <> 'operator' AND seen_at < now() - interval '1 hour'",
    )
    .bind::<Text, _>(source)
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(())
}
