//! Transitions: compare and set, with everything that has to change in the same step.

use db::ledger::{Claim, Transition};
use model::status::Status;
use model::{Error, Result};

use super::claim::stamp;
use super::rows::Rows;

impl Rows {
    pub(super) fn transition(
        &mut self,
        claim: Claim,
        from: Status,
        transition: &Transition,
    ) -> Result<bool> {
        let to = transition.to;
        if !from.may_become(to) {
            return Err(Error::internal(format!("a deployment does not go from {from} to {to}")));
        }
        let now = self.now();
        let Some(found) = self.deployments.get(&claim.deployment) else { return Ok(false) };
        if found.fence != claim.fence || found.status != from {
            return Ok(false);
        }
        if to == Status::Superseded && found.superseded_by.is_none() {
            return Ok(false);
        }
        let mut deployment = found.clone();
        deployment.status = to;
        if let Some(reason) = &transition.reason {
            deployment.reason_code = Some(reason.code);
            deployment.reason = Some(reason.sentence.clone());
        }
        stamp(&mut deployment, transition.marks, now);
        deployment.updated_at = now;
        if to.is_terminal() {
            if deployment.reason_code.is_none() {
                return Err(Error::internal("a deployment does not end without a reason"));
            }
            deployment.finished_at = Some(now);
        }
        if let Some(live) = transition.live.as_ref().filter(|_| to.is_terminal()) {
            self.release(live.release)?;
        }
        // Nothing is refused any more: from here on it is written.
        self.tell(deployment.id, deployment.organization_id, to, transition.message.clone());
        if let Some(evidence) = &transition.evidence {
            self.evidence.insert(deployment.id, evidence.clone());
        }
        self.deployments.insert(deployment.id, deployment.clone());
        if to.is_terminal() {
            self.keep_live(&deployment, to == Status::Succeeded);
            self.settle(&deployment, transition);
            self.wake_next(deployment.app_id);
        }
        Ok(true)
    }
}
