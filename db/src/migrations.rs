//! The schema's migrations, embedded in the binary. Run as the owner's role, by `worker migrate`
//! or `worker bootstrap`; no other process changes the schema.

use diesel_async::{AsyncMigrationHarness, AsyncPgConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use model::{Error, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::address;
use crate::failure;
use crate::pool::Database;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Brings the schema up to this build's version; returns the names of what was applied. Needs the
/// multi-thread runtime (diesel's harness blocks).
pub async fn migrate(url: &SecretString) -> Result<Vec<String>> {
    let mut harness = harness(url).await?;
    let applied = harness.run_pending_migrations(MIGRATIONS).map_err(Error::internal)?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

/// Takes every migration back, newest first: what `down.sql` is tried with.
pub async fn revert_all(url: &SecretString) -> Result<()> {
    harness(url).await?.revert_all_migrations(MIGRATIONS).map_err(Error::internal)?;
    Ok(())
}

async fn harness(url: &SecretString) -> Result<AsyncMigrationHarness<AsyncPgConnection>> {
    let connection = address::connect(url.expose_secret())
        .await
        .map_err(|error| Error::unavailable("the database", error))?;
    Ok(AsyncMigrationHarness::new(connection))
}

/// Refuses a database whose schema is older than this build. A newer one is fine: migrations only
/// expand what a running version uses.
pub async fn schema_check(database: &Database) -> Result<()> {
    use diesel::migration::{Migration, MigrationSource};
    use diesel::pg::Pg;
    use diesel::prelude::*;
    use diesel_async::RunQueryDsl;

    #[derive(QueryableByName)]
    struct Applied {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
    }

    // In a block of its own: migrations are not Send, and the API awaits this in a request.
    let newest = {
        let embedded: Vec<Box<dyn Migration<Pg>>> =
            MIGRATIONS.migrations().map_err(Error::internal)?;
        embedded.iter().map(|migration| migration.name().version().to_string()).max()
    };
    let mut connection = database.connection().await?;
    let applied: Vec<Applied> =
        diesel::sql_query("SELECT version FROM __diesel_schema_migrations ORDER BY 1 DESC LIMIT 1")
            .load(&mut connection)
            .await
            .map_err(failure::postgres)?;
    let applied = applied.into_iter().next().map(|row| row.version);
    if applied < newest {
        return Err(Error::internal(format!(
            "the schema is at {} and this build needs {}: run `worker migrate`",
            applied.as_deref().unwrap_or("nothing"),
            newest.as_deref().unwrap_or("nothing"),
        )));
    }
    Ok(())
}
