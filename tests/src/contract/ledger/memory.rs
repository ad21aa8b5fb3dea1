//! The stage in memory, under a paused clock.

use std::time::Duration;

use anyhow::{Context, Result};
use db::deployments::DeploymentRequest;
use model::app::App;
use model::deployment::{Deployment, DeploymentEvent};
use model::evidence::Evidence;
use model::id::{AppId, DeploymentId};
use model::release::Release;
use model::spec::AppSpec;
use tokio::runtime::Builder;
use tokio::time::advance;

use super::{Home, Stage, platform};
use crate::Outcome;
use crate::twin::clock::Clock;
use crate::twin::ledger::MemoryLedger;

/// The twin.
pub struct MemoryStage {
    ledger: MemoryLedger,
}

/// Tells a story on a ledger in memory.
pub fn on_memory(story: impl AsyncFnOnce(&MemoryStage) -> Outcome) -> Outcome {
    Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
        let stage = MemoryStage { ledger: MemoryLedger::new(Clock::start(), platform()) };
        story(&stage).await
    })
}

impl Stage for MemoryStage {
    type Ledger = MemoryLedger;

    fn ledger(&self) -> &MemoryLedger {
        &self.ledger
    }

    async fn organization(&self, _slug: &str) -> Result<Home> {
        let organization = self.ledger.organization_create();
        let environment = self.ledger.environment_create(organization, "production");
        Ok(Home { organization, environment })
    }

    async fn app_create(
        &self,
        home: Home,
        slug: &str,
        spec: AppSpec,
        replicas: i32,
    ) -> model::Result<AppId> {
        Ok(self.ledger.app_create(home.environment, slug, spec, replicas)?.id)
    }

    async fn app_update(&self, app: AppId, spec: AppSpec, replicas: i32) -> model::Result<()> {
        self.ledger.app_update(app, spec, replicas).map(drop)
    }

    async fn accept(&self, app: AppId, request: &DeploymentRequest) -> model::Result<DeploymentId> {
        Ok(self.ledger.accept(app, request)?.id)
    }

    async fn cancel(&self, _app: AppId, id: DeploymentId) -> model::Result<()> {
        self.ledger.cancel(id).map(drop)
    }

    async fn repair(
        &self,
        app: AppId,
        live_version: Option<i64>,
        why: &str,
    ) -> model::Result<Option<DeploymentId>> {
        self.ledger.repair(app, live_version, why)
    }

    async fn pass(&self, time: Duration) -> Outcome {
        advance(time).await;
        Ok(())
    }

    async fn wakeups(&self) -> Result<Vec<DeploymentId>> {
        let rows = self.ledger.outbox();
        self.ledger.outbox_confirmed(&rows.iter().map(|row| row.id).collect::<Vec<_>>());
        Ok(rows.into_iter().map(|row| row.deployment).collect())
    }

    async fn app(&self, app: AppId) -> Result<App> {
        self.ledger.app(app).context("no such app")
    }

    async fn releases(&self, app: AppId) -> Result<Vec<Release>> {
        Ok(self.ledger.releases(app))
    }

    async fn deployments(&self, app: AppId) -> Result<Vec<Deployment>> {
        let deployments = self.ledger.deployments().into_iter();
        Ok(deployments.filter(|deployment| deployment.app_id == app).collect())
    }

    async fn events(&self, app: AppId) -> Result<Vec<DeploymentEvent>> {
        let of_it: Vec<DeploymentId> =
            self.deployments(app).await?.iter().map(|deployment| deployment.id).collect();
        let events = self.ledger.events().into_iter();
        Ok(events.filter(|event| of_it.contains(&event.deployment_id)).collect())
    }

    async fn evidence(&self, deployment: DeploymentId) -> Result<Option<Evidence>> {
        Ok(self.ledger.evidence(deployment))
    }
}
