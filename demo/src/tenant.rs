//! A tenant of the story and its apps: where they are in the API, and what can be asked of them.

use anyhow::Result;
use model::id::AppId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answers::{App, Deployment, Environment, Release};
use crate::client::Client;

/// An organization with a client that holds its own token.
pub(crate) struct Tenant {
    /// Its slug.
    pub(crate) slug: String,
    pub(crate) client: Client,
    /// Its environment `production`.
    pub(crate) environment: Environment,
}

impl Tenant {
    /// Path of its production.
    pub(crate) fn path(&self) -> String {
        format!("/v1/organizations/{}/environments/production", self.slug)
    }

    /// One of its apps, if it has it.
    pub(crate) async fn app(&self, slug: &str) -> Result<Option<App>> {
        self.client.find(&format!("{}/apps/{slug}", self.path())).await
    }

    /// Makes an app.
    pub(crate) async fn make(&self, app: &Value) -> Result<TenantApp<'_>> {
        let made = self.client.create(&format!("{}/apps", self.path()), app).await?;
        Ok(TenantApp::of(self, made))
    }
}

/// An app of a tenant.
pub(crate) struct TenantApp<'t> {
    pub(crate) tenant: &'t Tenant,
    pub(crate) id: AppId,
    pub(crate) slug: String,
}

/// A deployment on its way, and where to follow it.
pub(crate) struct Underway<'t> {
    pub(crate) client: &'t Client,
    /// `tenant/app`.
    pub(crate) of: String,
    pub(crate) path: String,
}

impl<'t> TenantApp<'t> {
    /// The app that the API told of.
    pub(crate) fn of(tenant: &'t Tenant, app: App) -> Self {
        Self { tenant, id: app.id, slug: app.slug }
    }

    /// `tenant/app`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.tenant.slug, self.slug)
    }

    /// Its path. By id: after a removal the slug may be another app's.
    pub(crate) fn path(&self) -> String {
        format!("{}/apps/{}", self.tenant.path(), self.id)
    }

    /// As it stands.
    pub(crate) async fn get(&self) -> Result<App> {
        self.tenant.client.get(&self.path()).await
    }

    /// One of its releases.
    pub(crate) async fn release(&self, number: i32) -> Result<Release> {
        self.tenant.client.get(&format!("{}/releases/{number}", self.path())).await
    }

    /// Its deployments, newest first.
    pub(crate) async fn deployments(&self) -> Result<Vec<Deployment>> {
        self.tenant.client.list(&format!("{}/deployments", self.path())).await
    }

    /// Deploys it as it is.
    pub(crate) async fn deploy(&self) -> Result<Underway<'t>> {
        self.post("deployments", json!({})).await
    }

    /// Deploys it with another image.
    pub(crate) async fn deploy_image(&self, image: &str) -> Result<Underway<'t>> {
        self.post("deployments", json!({ "image": image })).await
    }

    /// Rolls it back to a release.
    pub(crate) async fn roll_back(&self, release: i32) -> Result<Underway<'t>> {
        self.post("rollback", json!({ "release": release })).await
    }

    /// Runs another number of replicas.
    pub(crate) async fn scale(&self, replicas: i32) -> Result<Underway<'t>> {
        self.post("scale", json!({ "replicas": replicas })).await
    }

    /// Removes it.
    pub(crate) async fn remove(&self) -> Result<Underway<'t>> {
        let path = self.tenant.client.accept(Method::DELETE, &self.path(), None).await?;
        Ok(self.underway(path))
    }

    async fn post(&self, what: &str, body: Value) -> Result<Underway<'t>> {
        let path = format!("{}/{what}", self.path());
        let path = self.tenant.client.accept(Method::POST, &path, Some(&body)).await?;
        Ok(self.underway(path))
    }

    /// One of its deployments, to be followed at this path.
    pub(crate) fn underway(&self, path: String) -> Underway<'t> {
        Underway { client: &self.tenant.client, of: self.name(), path }
    }
}
