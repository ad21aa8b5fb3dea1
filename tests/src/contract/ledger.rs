//! The contract of the deployment ledger: what Postgres and its twin in memory both do, for a worker
//! through [`Ledger`] and for the API through [`Stage`]. The cases know neither.

pub mod accepting;
pub mod claims;
pub mod ends;
pub mod memory;
pub mod postgres;
pub mod random;
pub mod repairs;
pub mod steps;
pub mod superseding;
pub mod targets;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use db::deployments::DeploymentRequest;
use model::app::App;
use model::deployment::{Deployment, DeploymentEvent};
use model::drift::OnDrift;
use model::evidence::Evidence;
use model::id::{AppId, DeploymentId, EnvironmentId, OrganizationId};
use model::platform::{Encryption, Platform};
use model::release::Release;
use model::spec::{AppSpec, EndpointMode};
use orchestrator::Ledger;

use crate::Outcome;

/// An organization with one environment.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    /// The organization.
    pub organization: OrganizationId,
    /// Its environment `production`.
    pub environment: EnvironmentId,
}

/// A ledger with everything around it that a case needs to set up and to look at.
#[expect(async_fn_in_trait, reason = "a case is told on one thread")]
pub trait Stage {
    /// The ledger.
    type Ledger: Ledger;

    /// The ledger, as a worker has it.
    fn ledger(&self) -> &Self::Ledger;

    /// Makes an organization.
    async fn organization(&self, slug: &str) -> Result<Home>;

    /// Makes an app.
    async fn app_create(
        &self,
        home: Home,
        slug: &str,
        spec: AppSpec,
        replicas: i32,
    ) -> model::Result<AppId>;

    /// Changes what the app's next release will be.
    async fn app_update(&self, app: AppId, spec: AppSpec, replicas: i32) -> model::Result<()>;

    /// Accepts a deployment.
    async fn accept(&self, app: AppId, request: &DeploymentRequest) -> model::Result<DeploymentId>;

    /// Withdraws a deployment of an app.
    async fn cancel(&self, app: AppId, id: DeploymentId) -> model::Result<()>;

    /// Accepts a repair, decided upon at this version; `None`: it is not for now.
    async fn repair(
        &self,
        app: AppId,
        live_version: Option<i64>,
        why: &str,
    ) -> model::Result<Option<DeploymentId>>;

    /// Lets time pass, as far as leases can tell.
    async fn pass(&self, time: Duration) -> Outcome;

    /// The wake-ups that were written since the last call, oldest first.
    async fn wakeups(&self) -> Result<Vec<DeploymentId>>;

    /// An app.
    async fn app(&self, app: AppId) -> Result<App>;

    /// The releases of an app, oldest first.
    async fn releases(&self, app: AppId) -> Result<Vec<Release>>;

    /// The deployments of an app, oldest first.
    async fn deployments(&self, app: AppId) -> Result<Vec<Deployment>>;

    /// The timelines of an app's deployments, oldest first.
    async fn events(&self, app: AppId) -> Result<Vec<DeploymentEvent>>;

    /// What was seen of a deployment.
    async fn evidence(&self, deployment: DeploymentId) -> Result<Option<Evidence>>;

    /// A deployment of an app.
    async fn deployment(&self, app: AppId, id: DeploymentId) -> Result<Deployment> {
        let found = self.deployments(app).await?.into_iter().find(|one| one.id == id);
        found.ok_or_else(|| anyhow!("no {id} of {app}"))
    }

    /// Everything of an app that an operation could have changed.
    async fn everything(&self, app: AppId) -> Result<String> {
        let (row, deployments) = (self.app(app).await?, self.deployments(app).await?);
        let (releases, events) = (self.releases(app).await?, self.events(app).await?);
        Ok(format!("{row:?} {deployments:?} {releases:?} {events:?}"))
    }

    /// What a deployment's timeline says: each status with its sentence.
    async fn timeline(&self, app: AppId, id: DeploymentId) -> Result<Vec<String>> {
        let events = self.events(app).await?.into_iter().filter(|event| event.deployment_id == id);
        Ok(events.map(|event| format!("{}: {}", event.status, event.message)).collect())
    }
}

/// Settings of both sides' platform.
pub(crate) fn platform() -> Platform {
    Platform {
        name: "contract".into(),
        endpoint_mode: EndpointMode::Vip,
        local_images: true,
        cpu_reservation_ratio: 0.05,
        memory_reservation_ratio: 0.5,
        tenants_on_managers: false,
        network_mtu: None,
        deadline_schedule_seconds: 120,
        deadline_pull_seconds: 300,
        deadline_healthy_seconds: 60,
        deadline_progress_seconds: 600,
        on_drift: OnDrift::Repair,
        on_disk_full: model::disk::OnDiskFull::Warn,
        encryption: Encryption::On,
    }
}

/// A spec that every policy allows.
pub fn spec(image: &str) -> AppSpec {
    AppSpec::of_image(image)
}

/// Asks for a deployment of the app as it is.
pub const fn deploy() -> DeploymentRequest {
    DeploymentRequest::Deploy { image: None, force: false }
}

/// Makes an organization with an app of two replicas.
pub async fn app(stage: &impl Stage) -> Result<AppId> {
    let home = stage.organization("acme").await?;
    Ok(stage.app_create(home, "web", spec("web:v1"), 2).await?)
}

/// Both outcomes of a case, told beside each other.
pub fn side_by_side(memory: Outcome, postgres: Outcome) -> Outcome {
    if memory.is_ok() && postgres.is_ok() {
        return Ok(());
    }
    let told = |outcome: Outcome| match outcome {
        Ok(()) => "as agreed".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    bail!("memory: {}\n\npostgres: {}", told(memory), told(postgres))
}

/// A panic as an outcome, so that the other side is told all the same.
pub fn told(case: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|panic| Err(said(&*panic)))
}

fn said(panic: &(dyn Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    anyhow!("{}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked"))
}
