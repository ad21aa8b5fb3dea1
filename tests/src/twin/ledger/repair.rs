//! Repairs: the platform's own deployments, which nobody's token asks for.

use chrono::TimeDelta;
use model::deployment::{Deployment, Kind};
use model::error::ErrorCode;
use model::id::{AppId, DeploymentId};
use model::status::Status;
use model::{Error, Result};

use super::rows::Rows;

impl Rows {
    pub(super) fn repair(
        &mut self,
        app: AppId,
        live_version: Option<i64>,
        why: &str,
    ) -> Result<Option<DeploymentId>> {
        let app = self.apps.get(&app).cloned();
        let app = app.ok_or_else(|| Error::new(ErrorCode::Internal, "no such app"))?;
        let Some(live) = app.live_release_id else { return Ok(None) };
        let busy = self.deployments_of(app.id).any(|one| !one.status.is_terminal());
        if app.removal_requested_at.is_some()
            || app.live_version != live_version
            || busy
            || self.repair_has_to_wait(app.id)
        {
            return Ok(None);
        }
        let id = self.id();
        let spec_version = self.release(live)?.spec_version.max(Kind::Repair.work_version());
        let repair = Deployment { spec_version, ..self.queued(id, &app, Kind::Repair) };
        self.deployments.insert(id, repair);
        self.needs.insert(id, app.reserved);
        self.tell(id, app.organization_id, Status::Queued, why.to_owned());
        self.wake(id);
        Ok(Some(id))
    }

    fn repair_has_to_wait(&self, app: AppId) -> bool {
        let now = self.now();
        let lately: Vec<&Deployment> = self
            .deployments_of(app)
            .filter(|one| one.kind == Kind::Repair && one.created_at > now - TimeDelta::hours(24))
            .collect();
        let Some(newest) = lately.iter().map(|one| one.created_at).max() else { return false };
        let doublings = u32::try_from(lately.len()).unwrap_or(u32::MAX).saturating_sub(1).min(10);
        newest + TimeDelta::seconds((60_i64 << doublings).min(3600)) > now
    }
}
