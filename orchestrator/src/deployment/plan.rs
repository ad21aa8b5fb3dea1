//! The plan: what is seen in, the next step out. Pure: no clock, no I/O; every rule of the verdict
//! is here and nowhere else: `forward` to the verdict, `back` when it failed, `removal`.

mod back;
mod cancel;
mod forward;
mod removal;

use std::cmp::Ordering;
use std::time::Duration;

use db::ledger::{Marks, Transition};
use db::work::Work;
use model::deployment::{Deployment, Kind};
use model::reason::{Reason, ReasonCode};
use model::release::Release;
use model::spec::RestartCondition;
use model::status::Status;
use model::update_policy::Deadlines;

use super::observation::{Observation, Stage};
use super::target::Target;
use crate::swarm::{Service, UpdateState};

/// Between two looks at Swarm. A look costs the daemon about a millisecond.
const LOOK: Duration = Duration::from_millis(100);
/// The same, once a deployment has gone on for a while.
const SLOW_LOOK: Duration = Duration::from_millis(500);
/// What "a while" is.
const LONG: chrono::Duration = chrono::Duration::seconds(30);

/// How long Swarm may want other tasks than the service has replicas. SwarmKit's restart of a task that
/// ends in the moment of an update can slip past it: its replacement then waits in READY for ever, or
/// runs beside another one in its slot. Any update of the service makes SwarmKit count again.
const MISCOUNT: chrono::Duration = chrono::Duration::seconds(5);

/// What the driver has to do next.
#[expect(clippy::large_enum_variant, reason = "one is made a look, and none is kept")]
#[derive(Debug, PartialEq)]
pub(super) enum Step<'a> {
    /// Find out which image the release runs.
    ResolveImage,
    /// Give the service this target's spec, after making sure of what the spec refers to.
    Apply(Target<'a>),
    /// Take the service away.
    RemoveService,
    /// Look again after this.
    Wait(Duration),
    /// Stamp moments.
    Mark(Marks),
    /// Make this transition.
    Go(Transition),
    /// Find out what is behind this, keep the evidence, and go back.
    GoBack(Blame),
    /// Find out what is behind this, keep the evidence, and end: there is nothing else to go back to.
    Fail(Blame),
    /// Neither on nor back.
    GiveUp(Blame),
}

/// What made a deployment fail, before anyone has looked closer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blame {
    /// This task ended by itself, too often or under Swarm's watch.
    Task(String),
    /// This task was too long in a stage.
    Overdue(String, Stage),
    /// No replica became healthy for too long.
    NoProgress,
    /// Swarm stopped the update.
    Paused(String),
    /// The service was taken back, and no task of ours failed.
    TakenBack(String),
}

/// The next step.
pub(super) fn plan<'a>(work: &'a Work, seen: &Observation<'_>) -> Step<'a> {
    if let Some(newer) = seen.deployment.superseded_by {
        return end(
            Status::Superseded,
            ReasonCode::NewerDeployment,
            format!("the newer deployment {newer} took over"),
        );
    }
    let planner = Planner { work, seen };
    match planner.next() {
        // What it brings back is what there is to go back to: that stays in place.
        Step::GoBack(blame) if seen.deployment.kind == Kind::Repair => Step::Fail(blame),
        step => step,
    }
}

struct Planner<'a, 's> {
    work: &'a Work,
    seen: &'s Observation<'s>,
}

impl<'a> Planner<'a, '_> {
    /// The next step of a deployment that nobody took over.
    fn next(&self) -> Step<'a> {
        let seen = self.seen;
        if seen.deployment.cancel_requested_at.is_some()
            && seen.deployment.status != Status::RollingBack
        {
            return self.cancel();
        }
        match (seen.deployment.status, seen.deployment.kind) {
            (Status::RollingBack, _) => self.go_back(),
            (Status::Provisioning | Status::Updating | Status::Verifying, Kind::Remove) => {
                self.remove()
            }
            (Status::Provisioning, _) => self.provision(),
            (Status::Updating | Status::Verifying, _) => self.roll_out(),
            (
                Status::Queued
                | Status::Succeeded
                | Status::RolledBack
                | Status::Failed
                | Status::Canceled
                | Status::Superseded
                | Status::Stuck,
                _,
            ) => Step::Wait(LOOK),
        }
    }

    fn deployment(&self) -> &Deployment {
        &self.seen.deployment
    }

    /// Applies a target, unless that has gone on for too long.
    fn apply(&self, target: Target<'a>) -> Step<'a> {
        if self.progress_overdue(Some(target.release)) && self.deployment().applied_at.is_some() {
            // Somebody keeps changing the service under us, or what it needs cannot be had.
            let blame = Blame::TakenBack("the service could not be kept as it should be".into());
            match (self.deployment().status, self.deployment().kind) {
                (_, Kind::Remove) => Step::RemoveService,
                (Status::RollingBack, _) => Step::GiveUp(blame),
                _ => Step::GoBack(blame),
            }
        } else {
            Step::Apply(target)
        }
    }

    /// Sends the spec again where Swarm has lost count of the replicas.
    fn recount(&self, target: &Target<'a>, service: &Service) -> Option<Step<'a>> {
        let update = Observation::update(service);
        let counting = matches!(update, Some(UpdateState::Updating | UpdateState::RollbackStarted));
        let applied = self.deployment().applied_at.unwrap_or(self.seen.now);
        let due = !counting && self.seen.now - applied > MISCOUNT;
        let miscounted = match self.seen.count(service) {
            Ordering::Greater => true,
            // On the way in, Swarm could not roll back any more what is sent again.
            Ordering::Less => {
                let restarts = target.release.spec.0.restart.condition == RestartCondition::Any;
                restarts && self.deployment().status == Status::RollingBack
            }
            Ordering::Equal => false,
        };
        (due && miscounted).then(|| self.apply(target.clone()))
    }

    fn blame_of_pause(&self, service: &Service) -> Blame {
        match self.seen.failed_tasks().first() {
            Some(task) => Blame::Task(task.id.clone()),
            None => Blame::Paused(update_message(service)),
        }
    }

    /// Whether no replica has become healthy for too long, of the release that is to run; a removal has
    /// none.
    fn progress_overdue(&self, release: Option<&Release>) -> bool {
        let default = Deadlines::default().progress_seconds;
        let unplaced = self.seen.has_unplaced();
        let seconds = release.map_or(default, |release| release.spec.0.progress_seconds(unplaced));
        let watching = self.seen.memory.watching_since.unwrap_or(self.seen.now);
        let since = self.deployment().progressed_at.map_or(watching, |at| at.max(watching));
        self.seen.now - since > chrono::Duration::seconds(i64::from(seconds))
    }

    /// What is left of the window; `None`: it has not begun, or a task is another by now.
    fn window_left(&self, target: &Target<'_>) -> Option<Duration> {
        if self.seen.memory.watched.as_ref() != Some(&self.seen.running_ids()) {
            return None;
        }
        let passed = self.seen.now - self.deployment().healthy_since?;
        Some((target.window() - passed).to_std().unwrap_or(Duration::ZERO))
    }

    fn pace(&self) -> Duration {
        let since = self.deployment().applied_at.unwrap_or(self.seen.now);
        if self.seen.now - since > LONG { SLOW_LOOK } else { LOOK }
    }
}

/// The transition after Swarm has taken our spec.
pub(super) fn applied(message: &str) -> Step<'static> {
    Step::Go(Transition {
        to: Status::Updating,
        message: message.into(),
        reason: None,
        marks: Marks { applied: true, progressed: true, healthy: Some(false) },
        evidence: None,
        live: None,
    })
}

/// An end with its reason.
pub(super) fn end(to: Status, code: ReasonCode, sentence: String) -> Step<'static> {
    Step::Go(Transition {
        to,
        message: sentence.clone(),
        reason: Some(Reason::new(code, sentence)),
        marks: Marks::default(),
        evidence: None,
        live: None,
    })
}

fn update_message(service: &Service) -> String {
    service
        .update
        .as_ref()
        .map(|update| format!("{}: {}", update.state.as_str(), update.message))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
