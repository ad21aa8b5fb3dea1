//! Cancelling: what its owner withdrew goes back to what was live, and ends there, verified.

use db::ledger::{Marks, Transition};
use model::reason::{Reason, ReasonCode};
use model::status::Status;

use super::super::target::{Target, untouched};
use super::{Planner, Step, end};

impl<'a> Planner<'a, '_> {
    /// A removal is withdrawn only before a worker has begun it: then it takes over what another
    /// one left half done.
    pub(super) fn cancel(&self) -> Step<'a> {
        let provisioning = self.deployment().status == Status::Provisioning;
        if provisioning && untouched(self.work, self.seen) {
            return end(
                Status::Canceled,
                ReasonCode::Canceled,
                "canceled by its owner before anything was changed".into(),
            );
        }
        let sentence = match Target::before(self.work) {
            Some(before) => format!("canceled by its owner; v{} comes back", before.release.number),
            None => "canceled by its owner; no release was live before, so it is stopped".into(),
        };
        Step::Go(Transition {
            to: Status::RollingBack,
            message: sentence.clone(),
            reason: Some(Reason::new(ReasonCode::Canceled, sentence)),
            marks: Marks { progressed: true, healthy: Some(false), ..Marks::default() },
            evidence: None,
            live: None,
        })
    }
}
