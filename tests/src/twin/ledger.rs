//! The deployment ledger in memory: what `db` does in Postgres for a deployment, from its accept to
//! its verdict, with the same rules in the same order and nothing in between.
//!
//! Every method is one transaction: it takes the lock, does all of it or nothing, and lets go. There
//! is no broker in here either: what Postgres would hold in its outbox is a list that the search
//! carries away, loses and repeats as it likes.

mod accept;
mod cancel;
mod claim;
mod kept;
mod repair;
mod rows;
mod settle;
mod transition;
mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use db::deployments::DeploymentRequest;
use db::ledger::{Claim, Marks, Transition};
use db::outbox::OutboxRow;
use db::work::Work;
use model::Result;
use model::app::App;
use model::deployment::Deployment;
use model::id::{AppId, DeploymentId, EnvironmentId, OrganizationId, ReleaseId, WorkerId};
use model::platform::Platform;
use model::release::Release;
use model::spec::AppSpec;
use model::status::Status;
use orchestrator::Ledger;

pub use self::kept::Used;
use self::rows::Rows;
pub use self::view::HeldLease;
use super::clock::Clock;

/// A ledger in memory. Clones are handles on the same one.
#[derive(Clone)]
pub struct MemoryLedger {
    rows: Arc<Mutex<Rows>>,
}

impl MemoryLedger {
    /// An empty one of an installation, which tells this clock's time.
    pub fn new(clock: Clock, platform: Platform) -> Self {
        Self { rows: Arc::new(Mutex::new(Rows::new(clock, platform))) }
    }

    /// Makes an organization without an environment.
    pub fn organization_create(&self) -> OrganizationId {
        self.rows().organization_create()
    }

    /// Makes an environment, with a network and a subnet of its own.
    pub fn environment_create(&self, organization: OrganizationId, slug: &str) -> EnvironmentId {
        self.rows().environment_create(organization, slug)
    }

    /// Makes an app. Refused where the slug is taken in its environment or the spec breaks a rule.
    pub fn app_create(
        &self,
        environment: EnvironmentId,
        slug: &str,
        spec: AppSpec,
        replicas: i32,
    ) -> Result<App> {
        self.rows().app_create(environment, slug, spec, replicas)
    }

    /// Changes what the app's next release will be.
    pub fn app_update(&self, app: AppId, spec: AppSpec, replicas: i32) -> Result<App> {
        self.rows().app_update(app, spec, replicas)
    }

    /// Accepts a deployment, or refuses it and changes nothing.
    pub fn accept(&self, app: AppId, request: &DeploymentRequest) -> Result<Deployment> {
        self.rows().accept(app, request)
    }

    /// Ends a queued deployment, or asks a driving one to end; or refuses it.
    pub fn cancel(&self, deployment: DeploymentId) -> Result<Deployment> {
        self.rows().cancel(deployment)
    }

    /// Accepts a repair of what is live, decided upon at this version; `None`: it is not for now.
    pub fn repair(
        &self,
        app: AppId,
        live_version: Option<i64>,
        why: &str,
    ) -> Result<Option<DeploymentId>> {
        self.rows().repair(app, live_version, why)
    }

    /// The wake-ups that no broker has confirmed, oldest first.
    pub fn outbox(&self) -> Vec<OutboxRow> {
        self.rows().outbox.clone()
    }

    /// Forgets wake-ups that the broker has confirmed.
    pub fn outbox_confirmed(&self, ids: &[i64]) {
        self.rows().outbox.retain(|row| !ids.contains(&row.id));
    }

    /// Nothing is left half done by a panic under the lock: whoever panics has failed the test.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for MemoryLedger {
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Claim>> {
        Ok(self.rows().claim_next(worker))
    }

    async fn renew(&self, claim: Claim) -> Result<bool> {
        Ok(self.rows().renew(claim))
    }

    async fn hand_over(&self, worker: WorkerId) -> Result<usize> {
        Ok(self.rows().hand_over(worker))
    }

    async fn read(&self, claim: Claim) -> Result<Option<(Deployment, DateTime<Utc>)>> {
        Ok(self.rows().read(claim))
    }

    async fn work(&self, deployment: DeploymentId) -> Result<Work> {
        self.rows().work(deployment)
    }

    async fn resolve(&self, release: ReleaseId, image: &str) -> Result<Release> {
        self.rows().resolve(release, image)
    }

    async fn transition(
        &self,
        claim: Claim,
        from: Status,
        transition: &Transition,
    ) -> Result<bool> {
        self.rows().transition(claim, from, transition)
    }

    async fn mark(&self, claim: Claim, marks: Marks) -> Result<bool> {
        Ok(self.rows().mark(claim, marks))
    }
}
