//! The migrated template that every test's database is cloned from: made once for a version of the
//! schema, by the production functions, under a lock that test binaries share.

use anyhow::{Context, Result};
use db::Database;
use db::bootstrap::{API, OWNER, WORKER, bootstrap_cluster};

use crate::database::url_of;
use crate::environment::environment;
use crate::sql;

/// What the names of templates start with.
pub(crate) const PREFIX: &str = "skep_template_";

/// Key of the advisory lock under which templates are made; any number that nobody else uses.
const LOCK: i64 = 0x736b_6570;

/// Tests ask as often as they like, but for those that say otherwise; counted they are.
const RATES: &str = "UPDATE plans SET
    rates = '{\"general\": 1000000, \"operations\": 1000000, \"aggregations\": 1000000}'";

/// Makes sure of the template; returns its name.
pub(crate) async fn ensure_template(admin: &Database) -> Result<String> {
    let name = name();
    // The lock belongs to a connection: this one, until the template is there.
    let lock = Database::new(environment().admin_url.clone().into(), 1)?;
    let mut held = lock.connection().await?;
    sql::lock(&mut held, LOCK).await?;
    let ready = format!("pg_database WHERE datname = '{name}' AND datistemplate");
    if sql::count(admin, &ready).await? == 0 {
        make(admin, &name).await.context("the template database could not be made")?;
    }
    Ok(name)
}

async fn make(admin: &Database, name: &str) -> Result<()> {
    // What a killed run left of it is not marked as a template.
    sql::execute(admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    let url = environment().admin_url.clone().into();
    bootstrap_cluster(&url, name, &[(OWNER, None), (API, None), (WORKER, None)]).await?;
    let owner = url_of(OWNER, name)?.into();
    db::migrations::migrate(&owner).await?;
    sql::execute(&Database::new(owner, 1)?, RATES).await?;
    sql::execute(admin, &format!("ALTER DATABASE {name} IS_TEMPLATE true")).await?;
    Ok(())
}

/// The name of this schema's template: it holds a hash of every migration (`build.rs`).
pub(crate) fn name() -> String {
    format!("{PREFIX}{}", env!("SKEP_SCHEMA"))
}
