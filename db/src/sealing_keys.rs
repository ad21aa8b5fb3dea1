//! Public keys that values are sealed to.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use model::Result;
use model::schema::sealing_keys;

use crate::failure;
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
