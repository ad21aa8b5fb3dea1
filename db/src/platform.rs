//! The installation's settings.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use model::platform::Platform;
use model::schema::platform;
use model::{Error, Result};

use crate::failure;
use crate::pool::Database;

/// The settings; an error that says what to run where there are none.
pub async fn platform_get(database: &Database) -> Result<Platform> {
    let mut connection = database.connection().await?;
    platform::table
        .select(Platform::as_select())
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?
        .ok_or_else(|| Error::internal("this database was never set up: run `worker bootstrap`"))
}
