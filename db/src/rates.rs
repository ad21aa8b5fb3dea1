//! What API processes tell each other of the requests that they took.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use model::Result;
use model::rate::RateClass;
use uuid::Uuid;

use crate::failure;
use crate::pool::Database;
use crate::prepared::Prepared;

/// Who asks, where, and for what: what is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asker {
    /// A token, or an address as IPv6.
    pub who: Uuid,
    /// The organization that is acted in; nil: none.
    pub organization: Uuid,
    /// What the requests cost.
    pub class: RateClass,
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = SqlUuid)]
    asker: Uuid,
    #[diesel(sql_type = SqlUuid)]
    organization: Uuid,
    #[diesel(sql_type = Text)]
    class: RateClass,
    #[diesel(sql_type = Integer)]
    taken: i32,
}

/// Adds what this process took of each in a minute (since 1970); answers what all of them took.
pub async fn rates_tell(
    database: &Database,
    minute: i64,
    took: &[(Asker, u32)],
) -> Result<Vec<(Asker, u32)>> {
    let mut connection = database.connection().await?;
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    // In one order: of two processes none waits for the other.
    let query = diesel::sql_query(
        "INSERT INTO rate_windows AS w (minute, asker, organization, class, taken)
         SELECT $1, t.asker, t.organization, t.class, t.taken
         FROM unnest($2, $3, $4, $5) AS t (asker, organization, class, taken) ORDER BY 2, 3, 4
         ON CONFLICT (minute, asker, organization, class) DO UPDATE SET taken = w.taken + excluded.taken
         RETURNING asker, organization, class, taken",
    )
    .bind::<BigInt, _>(minute)
    .bind::<Array<SqlUuid>, _>(took.iter().map(|(asker, _)| asker.who).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(took.iter().map(|(asker, _)| asker.organization).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(took.iter().map(|(asker, _)| asker.class).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(took.iter().map(|(_, taken)| count(*taken)).collect::<Vec<_>>());
    let told: Vec<Taken> =
        Prepared(query).load(&mut connection).await.map_err(failure::postgres)?;
    let of = |row: Taken| {
        let Taken { asker: who, organization, class, taken } = row;
        (Asker { who, organization, class }, taken.unsigned_abs())
    };
    Ok(told.into_iter().map(of).collect())
}

/// Forgets the minutes before this one.
pub async fn rates_forget(database: &Database, minute: i64) -> Result<()> {
    let mut connection = database.connection().await?;
    let query = diesel::sql_query("DELETE FROM rate_windows WHERE minute < $1");
    query.bind::<BigInt, _>(minute).execute(&mut connection).await.map_err(failure::postgres)?;
    Ok(())
}
