//! Skep's side: an operation asked for through the API, watched from outside, until its verdict is
//! answered.

use std::time::{Instant, SystemTime};

use anyhow::{Result, ensure};
use model::names;
use serde_json::{Value, json};
use tests::Tenant;
use tests::answer::text;
use tests::docker::Engine;

use crate::images::Images;
use crate::operation::{Operation, Timeline};
use crate::watch::{OF_SKEP, Pace, Watched, between, since};

/// Who asks, and for what.
pub(crate) struct Skep<'a> {
    /// Name of the installation.
    pub(crate) installation: &'a str,
    pub(crate) tenant: &'a Tenant,
    pub(crate) engine: &'a Engine,
    pub(crate) images: &'a Images,
    pub(crate) replicas: i32,
}

impl Skep<'_> {
    /// Makes an app, of which nothing runs yet.
    pub(crate) async fn make(&self, slug: &str) -> Result<Value> {
        self.tenant.create_app(slug, spec(&self.images.v1, self.replicas)).await
    }

    /// The name of an app's service.
    pub(crate) fn service(app: &Value) -> Result<String> {
        Ok(names::service_name(text(app, "/slug")?, text(app, "/id")?.parse()?))
    }

    /// Does an operation. The clock starts when the request is sent.
    pub(crate) async fn operate(&self, app: &Value, operation: Operation) -> Result<Timeline> {
        let (slug, service) = (text(app, "/slug")?, Self::service(app)?);
        let replicas = operation.replicas(self.replicas);
        let watched = Watched {
            docker: self.engine.client(),
            service: &service,
            labels: OF_SKEP,
            replicas,
            pace: Pace::CLOSE,
        };
        let before = watched.written_by().await?;
        let (began, sent) = (SystemTime::now(), Instant::now());
        let asking = async {
            let deployment = match operation {
                Operation::Create => self.tenant.deploy(slug, json!({})).await?,
                Operation::Update => {
                    self.tenant.deploy(slug, json!({ "image": self.images.v2 })).await?
                }
                Operation::Rollback => self.tenant.rollback(slug, json!({ "release": 1 })).await?,
                Operation::ScaleUp | Operation::ScaleDown => {
                    self.tenant.scale(slug, replicas).await?
                }
            };
            Ok((deployment, since(sent)))
        };
        let changing = watched.spec_changed(before.as_deref(), began);
        let ((deployment, answered), (writer, changed)) = tokio::try_join!(asking, changing)?;
        // Asked for from here on only: it is seconds away, and asking costs the machine that Skep runs on.
        let judged = async {
            self.tenant.wait_for(&deployment, "succeeded", "live").await?;
            anyhow::Ok(since(sent))
        };
        let running = async {
            watched.running().await?;
            Ok(since(sent))
        };
        let (verdict, running) = tokio::try_join!(judged, running)?;
        let spec_changed = between(sent, changed);
        let id = text(&deployment, "/id")?;
        ensure!(writer == id, "{id} was watched, and {writer} has written {service}");
        ensure!(watched.all_run().await?, "{id} succeeded, and not all of {service} runs");
        Ok(Timeline { answered, spec_changed, running, verdict })
    }

    /// Removes an app, and waits until its tasks have ended.
    pub(crate) async fn remove(&self, app: &Value) -> Result<()> {
        let removal = self.tenant.remove(text(app, "/id")?).await?;
        self.tenant.wait_for(&removal, "succeeded", "removed").await?;
        Ok(())
    }
}

/// The spec of every app here.
pub(crate) fn spec(image: &str, replicas: i32) -> Value {
    json!({
        "image": image,
        "port": 8080,
        "replicas": replicas,
        "memory": 256,
        "health_check": { "http": { "path": "/health" }, "interval": 1, "timeout": 2, "retries": 3 },
        "update_policy": { "preset": "fast" },
        // Replaced tasks are gone at once, and disturb no later sample.
        "env": { "APP_DRAIN_SECONDS": "0" },
    })
}
