//! A ledger that a story can be told on: for its workers through [`Ledger`], for its tenants as the
//! API has it, for its relay, and for the judge to look at. No call takes any of the story's time.

use db::deployments::DeploymentRequest;
use model::Result;
use model::app::App;
use model::deployment::{Deployment, DeploymentEvent};
use model::id::{AppId, DeploymentId, OrganizationId, ReleaseId};
use model::release::Release;
use model::spec::AppSpec;
use orchestrator::Ledger;

use crate::contract::ledger::Home;
use crate::twin::ledger::{HeldLease, MemoryLedger, Used};

/// Why a story's service is repaired.
pub(super) const REPAIR: &str = "somebody else changed the service";

/// A story's ledger. Lists are oldest first.
pub(super) trait StoryLedger: Ledger {
    /// Makes an organization with an environment.
    fn home(&self) -> Home;

    /// Makes an app, or refuses it.
    fn app_create(&self, home: Home, slug: &str, spec: AppSpec, replicas: i32) -> Result<AppId>;

    /// Accepts a deployment, or refuses it and changes nothing.
    fn accept(&self, app: AppId, request: &DeploymentRequest) -> Result<()>;

    /// Withdraws a deployment of an app, or refuses to.
    fn cancel(&self, app: AppId, deployment: DeploymentId) -> Result<()>;

    /// Accepts a repair of what is live, if it is for now.
    fn repair(&self, app: AppId) -> Result<()>;

    /// Takes the wake-ups that wait in the outbox, and confirms them.
    fn wakeups(&self) -> Vec<DeploymentId>;

    /// Every app; those that are removed, too.
    fn apps(&self) -> Vec<App>;

    /// One app.
    fn app(&self, id: AppId) -> Option<App>;

    /// One release.
    fn release(&self, id: ReleaseId) -> Option<Release>;

    /// Every deployment.
    fn deployments(&self) -> Vec<Deployment>;

    /// One deployment.
    fn deployment(&self, id: DeploymentId) -> Option<Deployment>;

    /// Every event of every deployment, in the order in which they were written.
    fn events(&self) -> Vec<DeploymentEvent>;

    /// Whether something that was seen is kept with a deployment.
    fn has_evidence(&self, deployment: DeploymentId) -> bool;

    /// What an organization uses of what its quotas are of.
    fn used(&self, organization: OrganizationId) -> Used;

    /// How many deployments wait or are being driven.
    fn unfinished(&self) -> usize;

    /// Who holds which deployment, leases that ran out included.
    fn leases(&self) -> Vec<HeldLease>;
}

impl StoryLedger for MemoryLedger {
    fn home(&self) -> Home {
        let organization = self.organization_create();
        Home { organization, environment: self.environment_create(organization, "production") }
    }

    fn app_create(&self, home: Home, slug: &str, spec: AppSpec, replicas: i32) -> Result<AppId> {
        Ok(Self::app_create(self, home.environment, slug, spec, replicas)?.id)
    }

    fn accept(&self, app: AppId, request: &DeploymentRequest) -> Result<()> {
        Self::accept(self, app, request).map(drop)
    }

    fn cancel(&self, _app: AppId, deployment: DeploymentId) -> Result<()> {
        Self::cancel(self, deployment).map(drop)
    }

    fn repair(&self, app: AppId) -> Result<()> {
        let live_version = Self::app(self, app).and_then(|app| app.live_version);
        Self::repair(self, app, live_version, REPAIR).map(drop)
    }

    fn wakeups(&self) -> Vec<DeploymentId> {
        let rows = self.outbox();
        self.outbox_confirmed(&rows.iter().map(|row| row.id).collect::<Vec<_>>());
        rows.into_iter().map(|row| row.deployment).collect()
    }

    fn apps(&self) -> Vec<App> {
        Self::apps(self)
    }

    fn app(&self, id: AppId) -> Option<App> {
        Self::app(self, id)
    }

    fn release(&self, id: ReleaseId) -> Option<Release> {
        Self::release(self, id)
    }

    fn deployments(&self) -> Vec<Deployment> {
        Self::deployments(self)
    }

    fn deployment(&self, id: DeploymentId) -> Option<Deployment> {
        Self::deployment(self, id)
    }

    fn events(&self) -> Vec<DeploymentEvent> {
        Self::events(self)
    }

    fn has_evidence(&self, deployment: DeploymentId) -> bool {
        self.evidence(deployment).is_some()
    }

    fn used(&self, organization: OrganizationId) -> Used {
        Self::used(self, organization)
    }

    fn unfinished(&self) -> usize {
        Self::unfinished(self)
    }

    fn leases(&self) -> Vec<HeldLease> {
        Self::leases(self)
    }
}
