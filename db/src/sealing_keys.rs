//! Public keys that values are sealed to.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text};
use diesel_async::{AsyncConnection, RunQueryDsl};
use model::Result;
use model::schema::sealing_keys;

use crate::failure::{self, Failure};
use crate::now::now;
use crate::pool::Database;

/// The id of the key that values are sealed to now; `None`: this installation was bootstrapped without a keyring.
pub async fn sealing_key_current(database: &Database) -> Result<Option<String>> {
    let mut connection = database.connection().await?;
    sealing_keys::table
        .filter(sealing_keys::is_current)
        .select(sealing_keys::id)
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)
}

/// Has values sealed to this key from now on.
pub async fn sealing_key_replace(database: &Database, id: &str, public_key: &[u8]) -> Result<()> {
    let mut connection = database.connection().await?;
    connection
        .transaction(async |connection| {
            diesel::insert_into(sealing_keys::table)
                .values((
                    sealing_keys::id.eq(id),
                    sealing_keys::public_key.eq(public_key),
                    sealing_keys::is_current.eq(false),
                ))
                .on_conflict_do_nothing()
                .execute(connection)
                .await?;
            let set = |is_current: bool| {
                (sealing_keys::is_current.eq(is_current), sealing_keys::updated_at.eq(now()))
            };
            diesel::update(sealing_keys::table.filter(sealing_keys::is_current))
                .filter(sealing_keys::id.ne(id))
                .set(set(false))
                .execute(connection)
                .await?;
            diesel::update(sealing_keys::table.find(id)).set(set(true)).execute(connection).await?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Forgotten {
    #[diesel(sql_type = Text)]
    id: String,
}

/// Forgets the keys that nothing is sealed to, nor will be. Answers which.
pub async fn sealing_keys_forget(database: &Database) -> Result<Vec<String>> {
    let mut connection = database.connection().await?;
    let forgotten = connection
        .transaction(async |connection| {
            // Whoever is sealing a value to one holds it; what is asked for after the lock has been got is sure.
            let old: Vec<String> = sealing_keys::table
                .filter(sealing_keys::is_current.eq(false))
                .order(sealing_keys::id)
                .select(sealing_keys::id)
                .for_update()
                .skip_locked()
                .load(connection)
                .await?;
            let forgotten: Vec<Forgotten> = diesel::sql_query(
                "DELETE FROM sealing_keys k
                 WHERE k.id = ANY ($1)
                     AND NOT EXISTS (SELECT FROM secret_versions v WHERE v.key_id = k.id)
                     AND NOT EXISTS (SELECT FROM registry_credentials c WHERE k.id IN (c.key_id, c.issued_key_id))
                 RETURNING id",
            )
            .bind::<Array<Text>, _>(old)
            .load(connection)
            .await?;
            Ok::<_, Failure>(forgotten)
        })
        .await?;
    Ok(forgotten.into_iter().map(|key| key.id).collect())
}

/// The keys that something is sealed to, or may be, beside the one that values are sealed to now.
pub async fn sealing_keys_old(database: &Database) -> Result<Vec<String>> {
    let mut connection = database.connection().await?;
    sealing_keys::table
        .filter(sealing_keys::is_current.eq(false))
        .order(sealing_keys::id)
        .select(sealing_keys::id)
        .load(&mut connection)
        .await
        .map_err(failure::postgres)
}

/// A key, as this installation and a keyring know it.
#[derive(Debug, Clone, QueryableByName)]
pub struct KnownKey {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub id: String,
    /// Whether values are sealed to it now.
    #[diesel(sql_type = Bool)]
    pub is_current: bool,
    /// How many values are sealed to it.
    #[diesel(sql_type = BigInt)]
    pub values: i64,
}

/// The keys that values are sealed to, and these.
pub async fn sealing_keys_list(database: &Database, known: &[String]) -> Result<Vec<KnownKey>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT keys.id, keys.is_current,
             (SELECT count(*) FROM secret_versions v WHERE v.key_id = keys.id)
                 + (SELECT count(*) FROM registry_credentials c WHERE keys.id IN (c.key_id, c.issued_key_id)) AS values
         FROM (
             SELECT coalesce(k.id, known.id) AS id, coalesce(k.is_current, false) AS is_current
             FROM unnest($1) AS known (id) FULL JOIN sealing_keys k ON k.id = known.id
         ) AS keys
         ORDER BY keys.is_current DESC, keys.id",
    )
    .bind::<Array<Text>, _>(known)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}
