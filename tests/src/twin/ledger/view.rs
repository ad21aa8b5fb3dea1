//! What the search looks at to see whether every promise was kept. Nothing in here changes anything.

use chrono::{DateTime, Utc};
use model::app::App;
use model::deployment::{Deployment, DeploymentEvent};
use model::evidence::Evidence;
use model::id::{AppId, DeploymentId, OrganizationId, ReleaseId, WorkerId};
use model::release::Release;

use super::rows::is_driving;
use super::{MemoryLedger, Used};

/// A lease on a deployment that is being driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its app.
    pub app: AppId,
    /// Who claimed it last.
    pub worker: WorkerId,
    /// Under this number.
    pub fence: i64,
    /// Until when, by the ledger's clock. In the past: whoever claims next takes it over.
    pub expires_at: DateTime<Utc>,
}

impl HeldLease {
    /// The lease on a deployment that is being driven.
    pub(crate) fn of(driven: &Deployment) -> Option<Self> {
        Some(Self {
            deployment: driven.id,
            app: driven.app_id,
            worker: driven.lease_owner?,
            fence: driven.fence,
            expires_at: driven.lease_expires_at?,
        })
    }
}

impl MemoryLedger {
    /// Every app, oldest first; those that are removed, too.
    pub fn apps(&self) -> Vec<App> {
        self.rows().apps.values().cloned().collect()
    }

    /// One app.
    pub fn app(&self, id: AppId) -> Option<App> {
        self.rows().apps.get(&id).cloned()
    }

    /// The releases of an app, oldest first.
    pub fn releases(&self, app: AppId) -> Vec<Release> {
        let of_it = |release: &&Release| release.app_id == app;
        self.rows().releases.values().filter(of_it).cloned().collect()
    }

    /// One release.
    pub fn release(&self, id: ReleaseId) -> Option<Release> {
        self.rows().releases.get(&id).cloned()
    }

    /// Every deployment, oldest first.
    pub fn deployments(&self) -> Vec<Deployment> {
        self.rows().deployments.values().cloned().collect()
    }

    /// One deployment.
    pub fn deployment(&self, id: DeploymentId) -> Option<Deployment> {
        self.rows().deployments.get(&id).cloned()
    }

    /// Every event of every deployment, in the order in which they were written.
    pub fn events(&self) -> Vec<DeploymentEvent> {
        self.rows().events.clone()
    }

    /// What was seen of a deployment that went wrong.
    pub fn evidence(&self, deployment: DeploymentId) -> Option<Evidence> {
        self.rows().evidence.get(&deployment).cloned()
    }

    /// What an organization uses of what its quotas are of.
    pub fn used(&self, organization: OrganizationId) -> Used {
        self.rows().used.get(&organization).copied().unwrap_or_default()
    }

    /// How many deployments wait or are being driven.
    pub fn unfinished(&self) -> usize {
        let waiting = |deployment: &&Deployment| deployment.finished_at.is_none();
        self.rows().deployments.values().filter(waiting).count()
    }

    /// Who holds which deployment, leases that ran out included.
    pub fn leases(&self) -> Vec<HeldLease> {
        let rows = self.rows();
        let driving = rows.deployments.values().filter(|one| is_driving(one.status));
        driving.filter_map(HeldLease::of).collect()
    }
}
