//! A database for each test, cloned from the template, with the roles and rights of production.

use anyhow::{Context, Result, anyhow};
use db::Database;
use db::bootstrap::{API, OWNER, WORKER};
use tokio::sync::OnceCell;
use url::Url;

use crate::environment::environment;
use crate::mark::Mark;
use crate::sql;
use crate::template::ensure_template;

/// What the names of tests' databases start with.
const PREFIX: &str = "skep_";

/// A test's database.
pub struct TestDatabase {
    name: String,
    owner: Database,
    worker: Database,
}

impl TestDatabase {
    /// Clones one.
    pub async fn create(mark: &Mark) -> Result<Self> {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let admin = admin().await?;
        let template = TEMPLATE.get_or_try_init(async || ensure_template(&admin).await).await?;
        let name = name_of(mark);
        let clone = format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}");
        sql::execute(&admin, &clone).await?;
        Ok(Self {
            owner: Database::new(url_of(OWNER, &name)?.into(), 2)?,
            worker: Database::new(url_of(WORKER, &name)?.into(), 4)?,
            name,
        })
    }

    /// Drops it, whoever is still connected.
    pub async fn drop(&self) -> Result<()> {
        drop_database(&admin().await?, &self.name).await
    }

    /// Ends every connection that API processes have to it, as a Postgres that is restarted does.
    pub async fn cut_api(&self) -> Result<()> {
        let connections = self.api_connections();
        let ended = format!("SELECT pg_terminate_backend(pid) AS ended FROM {connections}");
        sql::rows(&admin().await?, &ended).await?;
        Ok(())
    }

    /// How many of them wait for a lock in the middle of a transaction.
    pub async fn api_waits(&self) -> Result<i64> {
        let waits = "xact_start IS NOT NULL AND wait_event_type = 'Lock'";
        sql::count(&admin().await?, &format!("{} AND {waits}", self.api_connections())).await
    }

    fn api_connections(&self) -> String {
        format!("pg_stat_activity WHERE datname = '{}' AND usename = '{API}'", self.name)
    }

    /// Connections as the owner, who may do anything in it.
    pub const fn owner(&self) -> &Database {
        &self.owner
    }

    /// Connections as a worker.
    pub const fn worker(&self) -> &Database {
        &self.worker
    }

    /// The URL for the owner.
    pub fn owner_url(&self) -> Result<String> {
        url_of(OWNER, &self.name)
    }

    /// The URL for API processes.
    pub fn api_url(&self) -> Result<String> {
        url_of(API, &self.name)
    }

    /// The URL for workers.
    pub fn worker_url(&self) -> Result<String> {
        url_of(WORKER, &self.name)
    }
}

/// A connection as the cluster's administrator. Many tests make and drop databases at once, each of
/// which waits for the others' writes: production's limits would be a matter of luck here.
pub(crate) async fn admin() -> Result<Database> {
    let admin = Database::new(environment().admin_url.clone().into(), 1)?;
    sql::without_limits(&mut admin.connection().await?).await?;
    Ok(admin)
}

/// The tests' databases of the cluster that nobody is connected to, by mark.
pub(crate) async fn abandoned(admin: &Database) -> Result<Vec<Mark>> {
    let idle = "SELECT datname FROM pg_database d WHERE datname LIKE 'skep\\_test\\_%' AND NOT EXISTS \
        (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid) LIMIT 200";
    let rows = sql::rows(admin, idle).await?;
    let marks = rows.iter().filter_map(|row| {
        let name = row["datname"].as_str()?.strip_prefix(PREFIX)?;
        name.replace('_', "-").parse().ok()
    });
    Ok(marks.filter(Mark::is_left_over).collect())
}

/// Drops the database of a mark.
pub(crate) async fn drop_of(admin: &Database, mark: &Mark) -> Result<()> {
    drop_database(admin, &name_of(mark)).await
}

async fn drop_database(admin: &Database, name: &str) -> Result<()> {
    sql::execute(admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    Ok(())
}

fn name_of(mark: &Mark) -> String {
    format!("{PREFIX}{}", mark.to_string().replace('-', "_"))
}

/// The administrator's URL, as this role and with this database.
pub(crate) fn url_of(role: &str, database: &str) -> Result<String> {
    let mut url = Url::parse(&environment().admin_url).context("SKEP_DEV_ADMIN_URL is no URL")?;
    let set = url.set_username(role).and_then(|()| url.set_password(None));
    set.map_err(|()| anyhow!("SKEP_DEV_ADMIN_URL names no host"))?;
    url.set_path(database);
    Ok(url.into())
}
