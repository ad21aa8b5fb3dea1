//! Forward: from nothing of ours being live to the verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use db::ledger::{Marks, Transition};
use model::deployment::Kind;
use model::reason::{Reason, ReasonCode};
use model::status::Status;

use super::super::observation::{Observation, Stage};
use super::super::target::{Target, is_altered};
use super::{Blame, LOOK, Planner, Step, applied, update_message};
use crate::swarm::{Service, Task, UpdateState};

/// Tasks of one slot that may end by themselves before the deployment is given up. Swarm starts a
/// task again for ever; a replica that ended this often since it was deployed is not becoming
/// healthy. (In an update Swarm's own monitor is usually faster: with up to three replicas the
/// first failure exceeds a ratio of 0.3.)
const MOST_FAILURES: usize = 3;

impl<'a> Planner<'a, '_> {
    /// Nothing of ours is live yet.
    pub(super) fn provision(&self) -> Step<'a> {
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
            // A repair brings back what labels and numbers may not show.
            if self.deployment().kind != Kind::Repair
                && let Some(step) = self.unchanged(&wanted, service)
            {
                return step;
            }
        }
        self.apply(wanted)
    }

    /// The same release is live already, and healthy: nothing is touched.
    fn unchanged(&self, wanted: &Target<'_>, service: &Service) -> Option<Step<'a>> {
        let live = self.work.live.as_ref()?;
        let live = Target { release: live, ..wanted.clone() };
        let same =
            live.release.id == wanted.release.id || live.release.runs_the_same(wanted.release);
        let settled = matches!(
            Observation::update(service),
            None | Some(UpdateState::Completed | UpdateState::RollbackCompleted)
        );
        // What somebody else added to it would pass for ours from then on.
        let altered = is_altered(self.work, service);
        let carried = live.is_carried_by(service) && !altered;
        if !same || !settled || !carried || !self.seen.all_running(service) {
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
            live: Some(live.live(service)),
        }))
    }

    /// The spec is with Swarm: wait for its tasks, then watch them through the window.
    pub(super) fn roll_out(&self) -> Step<'a> {
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
        if matches!(update, Some(UpdateState::Paused | UpdateState::RollbackPaused)) {
            return Step::GoBack(self.blame_of_pause(service));
        }
        let all_running = self.seen.all_running(service);
        if let Some(blame) = self.blame_of_tasks() {
            return Step::GoBack(blame);
        }
        // Once all run, nothing more can become healthy: a long window is no lack of progress.
        if !all_running && self.progress_overdue(Some(wanted.release)) {
            return Step::GoBack(Blame::NoProgress);
        }
        let running = self.seen.running(service);
        match (self.deployment().status, all_running) {
            (Status::Verifying, true) => self.watch(&wanted, service),
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
            (_, false) => self.recount(&wanted, service).unwrap_or_else(|| Step::Wait(self.pace())),
        }
    }

    /// Every replica runs: the verdict comes when they still do at the end of the window, and Swarm
    /// is done with its update.
    fn watch(&self, wanted: &Target<'_>, service: &Service) -> Step<'a> {
        let Some(left) = self.window_left(wanted) else {
            return Step::Mark(Marks { healthy: Some(true), ..Marks::default() });
        };
        if left > Duration::ZERO {
            return Step::Wait(left.min(self.pace()));
        }
        // A rollback by hand can bring back what is ours: it is as good as our own update.
        let update = Observation::update(service);
        if matches!(update, Some(UpdateState::Updating | UpdateState::RollbackStarted)) {
            return Step::Wait(self.pace());
        }
        let number = wanted.release.number;
        let code = match self.deployment().kind {
            Kind::Stop => ReasonCode::Stopped,
            Kind::Repair => ReasonCode::Repaired,
            _ => ReasonCode::Live,
        };
        let sentence = match wanted.replicas {
            0 if code == ReasonCode::Stopped => {
                "the app is stopped: its last task has ended".into()
            }
            0 => format!("v{number} is in place with no replicas"),
            replicas => format!(
                "v{number} is live: {replicas} of {replicas} replicas ran through the window of {} s",
                wanted.window().num_seconds()
            ),
        };
        Step::Go(Transition {
            to: Status::Succeeded,
            message: sentence.clone(),
            reason: Some(Reason::new(code, sentence)),
            marks: Marks::default(),
            evidence: None,
            live: Some(wanted.live(service)),
        })
    }

    fn blame_of_tasks(&self) -> Option<Blame> {
        // In the order of the replicas: whoever looks at the same tasks blames the same one.
        let mut failures: BTreeMap<i64, Vec<&Task>> = BTreeMap::new();
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
        let (task, stage) = self.seen.overdue(limit)?;
        Some(Blame::Overdue(task.id.clone(), stage))
    }

    fn blame_of_rollback(&self, service: &Service) -> Blame {
        match self.seen.failed_tasks().first() {
            Some(task) => Blame::Task(task.id.clone()),
            None => Blame::TakenBack(update_message(service)),
        }
    }
}
