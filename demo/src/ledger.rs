//! Postgres as a witness: the rows behind what the API told. Read only.

use anyhow::{Context as _, Result};
use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use model::app::App;
use model::deployment::Deployment;
use model::id::{AppId, EnvironmentId};
use model::schema::{apps, deployments, networks, releases};
use secrecy::{ExposeSecret as _, SecretString};

/// The platform's database.
pub(crate) struct Ledger(SecretString);

impl Ledger {
    /// The database at this URL.
    pub(crate) const fn new(url: SecretString) -> Self {
        Self(url)
    }

    /// An app's row, removed or not.
    pub(crate) async fn app(&self, app: AppId) -> Result<App> {
        let mut connection = self.connect().await?;
        let found = apps::table.find(app).select(App::as_select()).first(&mut connection).await;
        found.with_context(|| format!("Postgres has no app {app}"))
    }

    /// An app's deployments, newest first, with the numbers of their releases.
    pub(crate) async fn deployments(&self, app: AppId) -> Result<Vec<(Deployment, Option<i32>)>> {
        let mut connection = self.connect().await?;
        let found = deployments::table
            .left_join(releases::table)
            .filter(deployments::app_id.eq(app))
            .order(deployments::id.desc())
            .select((Deployment::as_select(), releases::number.nullable()))
            .load(&mut connection)
            .await;
        found.with_context(|| format!("Postgres does not tell the deployments of {app}"))
    }

    /// The subnet of an environment's network.
    pub(crate) async fn subnet(&self, environment: EnvironmentId) -> Result<IpNet> {
        let mut connection = self.connect().await?;
        let found = networks::table
            .filter(networks::environment_id.eq(environment))
            .select(networks::subnet)
            .first(&mut connection)
            .await;
        found.with_context(|| format!("Postgres has no network of {environment}"))
    }

    async fn connect(&self) -> Result<AsyncPgConnection> {
        let connected = AsyncPgConnection::establish(self.0.expose_secret()).await;
        connected.context("Postgres does not answer at DATABASE_URL")
    }
}
