//! The plan: what is seen in, the next step out. Pure: no clock, no I/O; every rule of the verdict
//! is here and nowhere else.

use std::collections::HashMap;
use std::time::Duration;

use db::ledger::{Marks, Transition};
use db::work::Work;
use model::deployment::{Deployment, Kind};
use model::reason::{Reason, ReasonCode};
use model::status::Status;

use super::observation::{Observation, Stage};
use super::target::Target;
use crate::swarm::{Service, Task, UpdateState};

/// Tasks of one slot that may end by themselves before the deployment is given up. Swarm starts a
/// task again for ever; a replica that ended this often since it was deployed is not becoming
/// healthy. (In an update Swarm's own monitor is usually faster: with up to three replicas the
/// first failure exceeds a ratio of 0.3.)
pub(super) const MOST_FAILURES: usize = 3;

/// Between two looks at Swarm. A look costs the daemon about a millisecond.
const LOOK: Duration = Duration::from_millis(100);
/// The same, once a deployment has gone on for a while.
const SLOW_LOOK: Duration = Duration::from_millis(500);
/// What "a while" is.
const LONG: chrono::Duration = chrono::Duration::seconds(30);

/// What the driver has to do next.
#[derive(Debug, PartialEq)]
pub(super) enum Step<'a> {
    /// Find out which image the release runs.
    ResolveImage,
    /// Make sure of the environment's network.
    EnsureNetwork,
    /// Make sure of the platform's health probe.
    EnsureProbe,
    /// Give the service this target's spec.
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

/// What is there already for a spec to be rendered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Prepared {
    pub(super) network: bool,
    pub(super) probe: bool,
}

/// The next step.
pub(super) fn plan<'a>(work: &'a Work, seen: &Observation<'_>, prepared: Prepared) -> Step<'a> {
    if let Some(newer) = seen.deployment.superseded_by {
        return end(
            Status::Superseded,
            ReasonCode::NewerDeployment,
            format!("the newer deployment {newer} took over"),
        );
    }
    let planner = Planner { work, seen, prepared };
    match (seen.deployment.status, seen.deployment.kind) {
        (Status::RollingBack, _) => planner.go_back(),
        (Status::Provisioning | Status::Updating | Status::Verifying, Kind::Remove) => {
            planner.remove()
        }
        (Status::Provisioning, _) => planner.provision(),
        (Status::Updating | Status::Verifying, _) => planner.roll_out(),
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

struct Planner<'a, 's> {
    work: &'a Work,
    seen: &'s Observation<'s>,
    prepared: Prepared,
}

impl<'a> Planner<'a, '_> {
    fn deployment(&self) -> &Deployment {
        &self.seen.deployment
    }

    /// Nothing of ours is live yet.
    fn provision(&self) -> Step<'a> {
        let Some(wanted) = Target::wanted(self.work) else {
            return Step::Wait(LOOK);
        };
        if wanted.release.resolved_image.is_none() {
            return Step::ResolveImage;
        }
        if let Some(service) = &self.seen.service {
            if self.seen.is_ours(service) {
                // A worker applied it and died before it could say so.
                return applied("Swarm has the spec");
            }
            if let Some(step) = self.unchanged(&wanted, service) {
                return step;
            }
        }
        self.apply(wanted)
    }

    /// The same release is live already, and healthy: nothing is touched.
    fn unchanged(&self, wanted: &Target<'_>, service: &Service) -> Option<Step<'a>> {
        let live = self.work.live.as_ref()?;
        let live = Target { release: live, ..wanted.clone() };
        let same = live.release.id == wanted.release.id || live.release.runs_the_same(wanted.release);
        let settled = matches!(
            Observation::update(service),
            None | Some(UpdateState::Completed | UpdateState::RollbackCompleted)
        );
        if !same || !settled || !live.is_carried_by(service) || !self.seen.all_running(service) {
            return None;
        }
        let number = live.release.number;
        let sentence = format!("v{number} was live with this very spec: nothing was touched");
        Some(Step::Go(Transition {
            to: Status::Succeeded,
            message: sentence.clone(),
            reason: Some(Reason::new(ReasonCode::Unchanged, sentence)),
            marks: Marks::default(),
            evidence: None,
            live: Some(live.live()),
        }))
    }

    /// The spec is with Swarm: wait for its tasks, then watch them through the window.
    fn roll_out(&self) -> Step<'a> {
        let Some(wanted) = Target::wanted(self.work) else {
            return Step::Wait(LOOK);
        };
        let Some(service) = &self.seen.service else {
            // Somebody removed it: it comes back.
            return self.apply(wanted);
        };
        let update = Observation::update(service);
        if !self.seen.is_ours(service) {
            return match update {
                Some(state) if state.is_rollback() => Step::GoBack(self.blame_of_rollback(service)),
                _ => self.apply(wanted),
            };
        }
        if !wanted.is_carried_by(service) {
            return self.apply(wanted);
        }
        if update == Some(UpdateState::Paused) {
            return Step::GoBack(self.blame_of_pause(service));
        }
        if let Some(blame) = self.blame_of_tasks() {
            return Step::GoBack(blame);
        }
        let all_running = self.seen.all_running(service);
        let running = self.seen.running(service);
        match (self.deployment().status, all_running) {
            (Status::Verifying, true) => self.watch(&wanted, update),
            (Status::Verifying, false) => Step::Go(Transition {
                to: Status::Updating,
                message: format!("{running} of {} replicas run", wanted.replicas),
                reason: None,
                marks: Marks { healthy: Some(false), ..Marks::default() },
                evidence: None,
                live: None,
            }),
            (_, true) => Step::Go(Transition {
                to: Status::Verifying,
                message: format!(
                    "{running} of {} replicas run; watched for {} s",
                    wanted.replicas,
                    wanted.window().num_seconds()
                ),
                reason: None,
                marks: Marks { progressed: true, healthy: Some(true), ..Marks::default() },
                evidence: None,
                live: None,
            }),
            (_, false) if running > self.seen.memory.most_running => {
                Step::Mark(Marks { progressed: true, ..Marks::default() })
            }
            (_, false) => Step::Wait(self.pace()),
        }
    }

    /// Every replica runs: the verdict comes when they still do at the end of the window, and Swarm
    /// is done with its update.
    fn watch(&self, wanted: &Target<'_>, update: Option<UpdateState>) -> Step<'a> {
        let Some(left) = self.window_left(wanted) else {
            return Step::Mark(Marks { healthy: Some(true), ..Marks::default() });
        };
        if left > Duration::ZERO {
            return Step::Wait(left.min(self.pace()));
        }
        if !matches!(update, None | Some(UpdateState::Completed)) {
            return Step::Wait(self.pace());
        }
        let number = wanted.release.number;
        let sentence = match wanted.replicas {
            0 => format!("v{number} is in place with no replicas"),
            replicas => format!(
                "v{number} is live: {replicas} of {replicas} replicas ran through the window of {} s",
                wanted.window().num_seconds()
            ),
        };
        Step::Go(Transition {
            to: Status::Succeeded,
            message: sentence.clone(),
            reason: Some(Reason::new(ReasonCode::Live, sentence)),
            marks: Marks::default(),
            evidence: None,
            live: Some(wanted.live()),
        })
    }

    /// The wanted release failed; its reason is in the row. Back to what was live, or to nothing.
    fn go_back(&self) -> Step<'a> {
        match Target::before(self.work) {
            Some(before) => self.restore(before),
            None => self.stop_all(),
        }
    }

    fn restore(&self, before: Target<'a>) -> Step<'a> {
        let Some(service) = &self.seen.service else {
            return self.apply(before);
        };
        if !before.is_carried_by(service) {
            return self.apply(before);
        }
        let update = Observation::update(service);
        if matches!(update, Some(UpdateState::Paused | UpdateState::RollbackPaused)) {
            // Swarm's own way back failed; ours is tried once, and that writes our label.
            return if self.seen.is_ours(service) {
                Step::GiveUp(self.blame_of_pause(service))
            } else {
                self.apply(before)
            };
        }
        let all_running = self.seen.all_running(service);
        let healthy = self.deployment().healthy_since.is_some();
        if all_running != healthy {
            return Step::Mark(Marks {
                progressed: all_running,
                healthy: Some(all_running),
                ..Marks::default()
            });
        }
        let settled =
            !matches!(update, Some(UpdateState::Updating | UpdateState::RollbackStarted));
        let watched = self.window_left(&before) == Some(Duration::ZERO);
        if all_running && watched && settled {
            return Step::Go(Transition {
                to: Status::RolledBack,
                message: format!(
                    "v{} is live again: {} of {} replicas ran through the window",
                    before.release.number, before.replicas, before.replicas
                ),
                reason: None,
                marks: Marks::default(),
                evidence: None,
                live: Some(before.live()),
            });
        }
        if self.progress_overdue() {
            return Step::GiveUp(Blame::NoProgress);
        }
        Step::Wait(self.pace())
    }

    /// There is nothing to go back to: the failed release is scaled to zero.
    fn stop_all(&self) -> Step<'a> {
        let Some(service) = &self.seen.service else {
            return failed();
        };
        if service.replicas > 0
            && let Some(wanted) = Target::wanted(self.work)
        {
            return self.apply(Target { replicas: 0, ..wanted });
        }
        if self.seen.all_over() {
            return failed();
        }
        if self.progress_overdue() {
            return Step::GiveUp(Blame::NoProgress);
        }
        Step::Wait(self.pace())
    }

    /// No replicas first, then no service: the end is said when every task has ended.
    fn remove(&self) -> Step<'a> {
        let Some(service) = &self.seen.service else {
            return end(
                Status::Succeeded,
                ReasonCode::Removed,
                "the app's service and its tasks are gone".into(),
            );
        };
        let runnable =
            Target::wanted(self.work).filter(|target| target.release.resolved_image.is_some());
        if service.replicas > 0
            && let Some(none) = runnable
        {
            return self.apply(none);
        }
        // A task that does not end in time goes with its service.
        if self.seen.all_over() || service.replicas > 0 || self.progress_overdue() {
            return Step::RemoveService;
        }
        Step::Wait(self.pace())
    }

    /// Applies a target, after what its spec refers to is there.
    fn apply(&self, target: Target<'a>) -> Step<'a> {
        let check = &target.release.spec.0.health_check;
        let needs_probe = check.as_ref().is_some_and(|check| check.test.needs_probe());
        if !self.prepared.network {
            Step::EnsureNetwork
        } else if needs_probe && !self.prepared.probe {
            Step::EnsureProbe
        } else if self.progress_overdue() && self.deployment().applied_at.is_some() {
            // Somebody keeps changing the service under us.
            let blame = Blame::TakenBack("the service is changed by somebody else".into());
            match self.deployment().status {
                Status::RollingBack => Step::GiveUp(blame),
                _ => Step::GoBack(blame),
            }
        } else {
            Step::Apply(target)
        }
    }

    fn blame_of_tasks(&self) -> Option<Blame> {
        let mut failures: HashMap<i64, Vec<&Task>> = HashMap::new();
        for task in self.seen.failed_tasks() {
            failures.entry(task.slot).or_default().push(task);
        }
        if let Some(tasks) = failures.into_values().find(|tasks| tasks.len() >= MOST_FAILURES) {
            return tasks.first().map(|newest| Blame::Task(newest.id.clone()));
        }
        let deadlines = self.work.release.as_ref()?.spec.0.deadlines;
        let limit = |stage| {
            chrono::Duration::seconds(i64::from(match stage {
                Stage::Schedule => deadlines.schedule_seconds,
                Stage::Pull => deadlines.pull_seconds,
                Stage::Healthy => deadlines.healthy_seconds,
            }))
        };
        if let Some((task, stage)) = self.seen.overdue(limit) {
            return Some(Blame::Overdue(task.id.clone(), stage));
        }
        self.progress_overdue().then_some(Blame::NoProgress)
    }

    fn blame_of_rollback(&self, service: &Service) -> Blame {
        match self.seen.failed_tasks().first() {
            Some(task) => Blame::Task(task.id.clone()),
            None => Blame::TakenBack(update_message(service)),
        }
    }

    fn blame_of_pause(&self, service: &Service) -> Blame {
        match self.seen.failed_tasks().first() {
            Some(task) => Blame::Task(task.id.clone()),
            None => Blame::Paused(update_message(service)),
        }
    }

    fn progress_overdue(&self) -> bool {
        let seconds = self
            .work
            .release
            .as_ref()
            .map_or_else(Default::default, |release| release.spec.0.deadlines)
            .progress_seconds;
        let progressed = self.deployment().progressed_at.unwrap_or(self.seen.now);
        self.seen.now - progressed > chrono::Duration::seconds(i64::from(seconds))
    }

    /// What is left of the window; `None`: it has not begun.
    fn window_left(&self, target: &Target<'_>) -> Option<Duration> {
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

/// The failed release is stopped; why it failed is in the row already.
fn failed() -> Step<'static> {
    Step::Go(Transition {
        to: Status::Failed,
        message: "the failed release was stopped: there is no stable one to go back to".into(),
        reason: None,
        marks: Marks::default(),
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
        .map(|(state, message)| format!("{}: {message}", state.as_str()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
