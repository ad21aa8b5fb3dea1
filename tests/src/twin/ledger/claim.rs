//! Claims and leases.

use chrono::{DateTime, TimeDelta, Utc};
use db::ledger::{Claim, LEASE, Marks};
use db::work::Work;
use model::Result;
use model::deployment::{Deployment, WORK_VERSION};
use model::id::{DeploymentId, OrganizationId, ReleaseId, WorkerId};
use model::release::Release;
use model::status::Status;

use super::rows::{Rows, is_driving, missing};

impl Rows {
    pub(super) fn claim_next(&mut self, worker: WorkerId) -> Option<Claim> {
        let now = self.now();
        let id = match self.abandoned(now) {
            Some(id) => id,
            None => {
                let id = self.next_queued()?;
                let deployment = self.deployments.get_mut(&id)?;
                deployment.status = Status::Provisioning;
                deployment.started_at = Some(now);
                deployment.progressed_at = Some(now);
                let organization = deployment.organization_id;
                let message = "taken up by a worker".to_owned();
                self.tell(id, organization, Status::Provisioning, message);
                id
            }
        };
        self.fence += 1;
        let deployment = self.deployments.get_mut(&id)?;
        deployment.fence = self.fence;
        deployment.lease_owner = Some(worker);
        deployment.lease_expires_at = Some(after_lease(now));
        deployment.updated_at = now;
        Some(Claim { deployment: id, fence: self.fence })
    }

    /// The one whose lease ran out first.
    fn abandoned(&self, now: DateTime<Utc>) -> Option<DeploymentId> {
        self.deployments
            .values()
            .filter(|one| is_driving(one.status) && one.spec_version <= WORK_VERSION)
            .filter(|one| one.lease_expires_at.is_some_and(|expires| expires < now))
            .min_by_key(|one| one.lease_expires_at)
            .map(|one| one.id)
    }

    /// The oldest queued one of the organization with the fewest in progress, if its app is free.
    fn next_queued(&self) -> Option<DeploymentId> {
        let driving = |organization: OrganizationId| {
            let of_it = |one: &&Deployment| one.organization_id == organization;
            self.deployments.values().filter(of_it).filter(|one| is_driving(one.status)).count()
        };
        self.deployments
            .values()
            .filter(|one| one.status == Status::Queued && one.spec_version <= WORK_VERSION)
            .filter(|one| !self.deployments_of(one.app_id).any(|other| is_driving(other.status)))
            .min_by_key(|one| (driving(one.organization_id), one.created_at))
            .map(|one| one.id)
    }

    pub(super) fn renew(&mut self, claim: Claim) -> bool {
        let expires = after_lease(self.now());
        match self.unfinished_of(claim) {
            Some(deployment) => {
                deployment.lease_expires_at = Some(expires);
                true
            }
            None => false,
        }
    }

    pub(super) fn hand_over(&mut self, worker: WorkerId) -> usize {
        let expired = self.now() - TimeDelta::milliseconds(1);
        let mut handed_over = Vec::new();
        for deployment in self.deployments.values_mut() {
            if deployment.lease_owner == Some(worker) && is_driving(deployment.status) {
                deployment.lease_expires_at = Some(expired);
                handed_over.push(deployment.id);
            }
        }
        handed_over.iter().for_each(|id| self.wake(*id));
        handed_over.len()
    }

    pub(super) fn read(&self, claim: Claim) -> Option<(Deployment, DateTime<Utc>)> {
        let found = self.deployments.get(&claim.deployment);
        let ours = found.filter(|deployment| deployment.fence == claim.fence)?;
        Some((ours.clone(), self.now()))
    }

    pub(super) fn mark(&mut self, claim: Claim, marks: Marks) -> bool {
        let now = self.now();
        match self.unfinished_of(claim) {
            Some(deployment) => {
                stamp(deployment, marks, now);
                deployment.updated_at = now;
                true
            }
            None => false,
        }
    }

    pub(super) fn work(&self, id: DeploymentId) -> Result<Work> {
        let deployment = self.deployments.get(&id).ok_or_else(|| missing(&id))?.clone();
        let app = self.app(deployment.app_id)?.clone();
        let network = self.networks.get(&app.environment_id);
        Ok(Work {
            release: deployment.release_id.map(|id| self.release(id).cloned()).transpose()?,
            live: app.live_release_id.map(|id| self.release(id).cloned()).transpose()?,
            fingerprint: self.fingerprints.get(&app.id).cloned(),
            network: network.ok_or_else(|| missing(&app.environment_id))?.clone(),
            deployment,
            app,
        })
    }

    pub(super) fn resolve(&mut self, id: ReleaseId, image: &str) -> Result<Release> {
        let now = self.now();
        let release = self.releases.get_mut(&id).ok_or_else(|| missing(&id))?;
        if release.resolved_image.is_none() {
            release.resolved_image = Some(image.to_owned());
            release.updated_at = now;
        }
        Ok(release.clone())
    }

    /// The deployment of a claim that is still the newest, if it has not ended.
    fn unfinished_of(&mut self, claim: Claim) -> Option<&mut Deployment> {
        let found = self.deployments.get_mut(&claim.deployment)?;
        (found.fence == claim.fence && found.finished_at.is_none()).then_some(found)
    }
}

/// Stamps moments.
pub(super) fn stamp(deployment: &mut Deployment, marks: Marks, now: DateTime<Utc>) {
    if marks.applied {
        deployment.applied_at = Some(now);
    }
    if marks.progressed {
        deployment.progressed_at = Some(now);
    }
    if let Some(healthy) = marks.healthy {
        deployment.healthy_since = healthy.then_some(now);
    }
}

fn after_lease(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::from_std(LEASE).unwrap_or_default()
}
