//! A tenant's developer: an organization with a token, and the steps of a story in an environment:
//! `production`, where it says no other.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::answer::{Answer, text};
use crate::client::{Ask, Client};
use crate::wait::wait_for;

/// The longest that any deployment of these tests takes.
const LONGEST: Duration = Duration::from_secs(150);

/// An organization and who acts for it.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Asks with a token of the organization.
    pub client: Client,
    /// The organization's slug.
    pub slug: String,
    /// The organization.
    pub organization: Value,
    /// Its token's secret.
    pub token: String,
    /// Slug of the environment that its apps are in.
    pub environment: String,
}

impl Tenant {
    /// The organization's path.
    pub fn home(&self) -> String {
        format!("/v1/organizations/{}", self.slug)
    }

    /// A path below the environment.
    pub fn path(&self, below: &str) -> String {
        format!("{}/environments/{}/{below}", self.home(), self.environment)
    }

    /// The same, in another environment.
    pub fn within(&self, environment: &str) -> Self {
        Self { environment: environment.to_owned(), ..self.clone() }
    }

    /// Makes an app; `spec` needs nothing but an image.
    pub async fn create_app(&self, slug: &str, mut spec: Value) -> Result<Value> {
        spec["slug"] = slug.into();
        self.client.post(&self.path("apps"), &spec).await?.expect(201)
    }

    /// The app, with its live status.
    pub async fn app(&self, app: &str) -> Result<Value> {
        self.client.get(&self.path(&format!("apps/{app}"))).await?.expect(200)
    }

    /// Changes the app's next release.
    pub async fn patch_app(&self, app: &str, patch: Value) -> Result<Value> {
        self.client.patch(&self.path(&format!("apps/{app}")), &patch).await?.expect(200)
    }

    /// Asks for a deployment, whatever the answer.
    pub async fn ask_deploy(&self, app: &str, body: Value) -> Result<Answer> {
        self.client.post(&self.path(&format!("apps/{app}/deployments")), &body).await
    }

    /// Has a deployment accepted.
    pub async fn deploy(&self, app: &str, body: Value) -> Result<Value> {
        self.ask_deploy(app, body).await?.expect(202)
    }

    /// Has a rollback accepted.
    pub async fn rollback(&self, app: &str, body: Value) -> Result<Value> {
        self.client.post(&self.path(&format!("apps/{app}/rollback")), &body).await?.expect(202)
    }

    /// Has another number of replicas accepted.
    pub async fn scale(&self, app: &str, replicas: i32) -> Result<Value> {
        let body = json!({ "replicas": replicas });
        self.client.post(&self.path(&format!("apps/{app}/scale")), &body).await?.expect(202)
    }

    /// Asks for `restart`, `stop` or `start`, whatever the answer.
    pub async fn ask_to(&self, verb: &str, app: &str) -> Result<Answer> {
        let path = self.path(&format!("apps/{app}/{verb}"));
        self.client.ask(Method::POST, &path, Ask::default()).await
    }

    /// Has a `restart`, `stop` or `start` accepted.
    pub async fn to(&self, verb: &str, app: &str) -> Result<Value> {
        self.ask_to(verb, app).await?.expect(202)
    }

    /// Asks for a deployment's end, whatever the answer.
    pub async fn ask_cancel(&self, deployment: &Value) -> Result<Answer> {
        let path = format!("{}/cancel", self.deployment_path(deployment)?);
        self.client.ask(Method::POST, &path, Ask::default()).await
    }

    /// Has a removal accepted.
    pub async fn remove(&self, app: &str) -> Result<Value> {
        self.client.delete(&self.path(&format!("apps/{app}"))).await?.expect(202)
    }

    /// A deployment as it stands, with timeline and evidence.
    pub async fn deployment(&self, deployment: &Value) -> Result<Value> {
        self.client.get(&self.deployment_path(deployment)?).await?.expect(200)
    }

    /// The path of a deployment that an answer tells of.
    pub fn deployment_path(&self, deployment: &Value) -> Result<String> {
        let (app, id) = (text(deployment, "/app")?, text(deployment, "/id")?);
        Ok(self.path(&format!("apps/{app}/deployments/{id}")))
    }

    /// Waits for a deployment's verdict.
    pub async fn wait_for_end(&self, deployment: &Value) -> Result<Value> {
        let path = format!("{}?wait=30", self.deployment_path(deployment)?);
        let end = Instant::now() + LONGEST;
        while Instant::now() < end {
            let found = self.client.get(&path).await?.expect(200)?;
            if !found["finished_at"].is_null() {
                return Ok(found);
            }
        }
        bail!("no verdict: {:#}", self.deployment(deployment).await?)
    }

    /// Waits for a deployment's verdict, which has to be this status for this reason.
    pub async fn wait_for(&self, deployment: &Value, status: &str, reason: &str) -> Result<Value> {
        let found = self.wait_for_end(deployment).await?;
        let as_expected = found["status"] == status && found["reason"]["code"] == reason;
        ensure!(as_expected, "not {status} for {reason}: {found:#}");
        Ok(found)
    }

    /// Waits until a deployment has one of these statuses.
    pub async fn wait_for_status(&self, deployment: &Value, any_of: &[&str]) -> Result<Value> {
        wait_for(&format!("a status of {any_of:?}"), LONGEST, async || {
            let found = self.deployment(deployment).await?;
            if any_of.contains(&text(&found, "/status")?) {
                return Ok(Some(found));
            }
            ensure!(found["finished_at"].is_null(), "it ended: {found:#}");
            Ok(None)
        })
        .await
    }

    /// Deploys and waits for `succeeded`.
    pub async fn deploy_live(&self, app: &str, body: Value) -> Result<Value> {
        let deployment = self.deploy(app, body).await?;
        self.wait_for(&deployment, "succeeded", "live").await
    }
}
