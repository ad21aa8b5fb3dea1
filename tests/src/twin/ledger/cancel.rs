//! Cancelling, as the API writes it.

use model::deployment::Deployment;
use model::id::DeploymentId;
use model::reason::ReasonCode;
use model::status::Status;
use model::{Error, Result};

use super::rows::Rows;

impl Rows {
    pub(super) fn cancel(&mut self, id: DeploymentId) -> Result<Deployment> {
        let now = self.now();
        let found = self.deployments.get(&id).filter(|found| {
            self.apps.get(&found.app_id).is_some_and(|app| app.removed_at.is_none())
        });
        let mut deployment = found.ok_or_else(|| Error::not_found("deployment"))?.clone();
        if deployment.status == Status::Canceled || deployment.cancel_requested_at.is_some() {
            return Ok(deployment);
        }
        deployment.cancelable()?;
        deployment.updated_at = now;
        let message = if deployment.status == Status::Queued && !self.takes_over(&deployment) {
            let sentence = "canceled by its owner before a worker took it up";
            deployment.status = Status::Canceled;
            deployment.finished_at = Some(now);
            deployment.reason_code = Some(ReasonCode::Canceled);
            deployment.reason = Some(sentence.into());
            self.unset(&deployment);
            sentence
        } else {
            deployment.cancel_requested_at = Some(now);
            "asked to end: canceled by its owner"
        };
        self.tell(id, deployment.organization_id, deployment.status, message.into());
        self.deployments.insert(id, deployment.clone());
        if deployment.status.is_terminal() {
            self.keep_live(&deployment, false);
        }
        Ok(deployment)
    }

    /// Whether it has to take over what an older one left half done. One that still drives goes on.
    fn takes_over(&mut self, deployment: &Deployment) -> bool {
        let now = self.now();
        let superseded = |one: &&Deployment| {
            one.superseded_by == Some(deployment.id) && one.finished_at.is_none()
        };
        let found = self.deployments_of(deployment.app_id).find(superseded).cloned();
        if let Some(mut goes_on) = found {
            goes_on.superseded_by = None;
            goes_on.updated_at = now;
            let message = format!("goes on: the newer deployment {} was canceled", deployment.id);
            self.tell(goes_on.id, goes_on.organization_id, goes_on.status, message);
            self.deployments.insert(goes_on.id, goes_on);
            return false;
        }
        let last = self.deployments_of(deployment.app_id).rfind(|one| one.started_at.is_some());
        last.is_some_and(|last| last.status == Status::Superseded)
    }
}
