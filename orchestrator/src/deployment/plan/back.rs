//! Back: the wanted release failed. To what was live before, or, without one, to nothing.

use std::time::Duration;

use db::ledger::{Live, Marks, Transition};
use model::reason::{Reason, ReasonCode};
use model::status::Status;

use super::super::observation::Observation;
use super::super::target::{Target, has_other_parts};
use super::{Blame, Planner, Step};
use crate::swarm::UpdateState;

impl<'a> Planner<'a, '_> {
    /// The wanted release failed; its reason is in the row. Back to what was live, or to nothing.
    pub(super) fn go_back(&self) -> Step<'a> {
        match Target::before(self.work) {
            Some(before) => self.restore(before),
            None => self.stop_all(),
        }
    }

    fn restore(&self, before: Target<'a>) -> Step<'a> {
        let Some(service) = &self.seen.service else {
            return self.apply(before);
        };
        // Swarm brings back what it found when we wrote: what somebody else had made of it, perhaps.
        let altered = !self.seen.is_ours(service) && has_other_parts(self.work, service);
        if !before.is_carried_by(service) || altered {
            return self.apply(before);
        }
        let update = Observation::update(service);
        if matches!(update, Some(UpdateState::Paused | UpdateState::RollbackPaused)) {
            // Swarm's own way back failed; ours is tried once, and that writes our label. Where no
            // task of it failed, a lost node made Swarm stop: that says nothing of the release.
            return if self.seen.is_ours(service) && !self.seen.failed_tasks().is_empty() {
                Step::GiveUp(self.blame_of_pause(service))
            } else {
                self.apply(before)
            };
        }
        let all_running = self.seen.all_running(service);
        let healthy = self.deployment().healthy_since.is_some();
        // Also begun anew when a task is another than it was.
        let begun = healthy && self.window_left(&before).is_some();
        if all_running != begun {
            // Progress is more replicas than ever before: one that comes and goes is none.
            let progressed = self.seen.running_ids().len() > self.seen.memory.most_running;
            return Step::Mark(Marks {
                progressed,
                healthy: Some(all_running),
                ..Marks::default()
            });
        }
        let settled = !matches!(update, Some(UpdateState::Updating | UpdateState::RollbackStarted));
        let watched = self.window_left(&before) == Some(Duration::ZERO);
        if all_running && watched && settled {
            let message = format!(
                "v{} is live again: {} of {} replicas ran through the window",
                before.release.number, before.replicas, before.replicas
            );
            return self.back(Status::RolledBack, message, Some(before.live(service)));
        }
        if !all_running && self.progress_overdue(Some(before.release)) {
            return Step::GiveUp(Blame::NoProgress);
        }
        self.recount(&before, service).unwrap_or_else(|| Step::Wait(self.pace()))
    }

    /// There is nothing to go back to: the failed release is scaled to zero.
    fn stop_all(&self) -> Step<'a> {
        let Some(service) = &self.seen.service else {
            return self.stopped();
        };
        let none = Target::wanted(self.work)
            .filter(|wanted| wanted.release.resolved_image.is_some())
            .map(|wanted| Target { replicas: 0, ..wanted });
        if service.replicas > 0 {
            // Without one, what runs is of a deployment that was superseded: not rendered here.
            return none.map_or(Step::RemoveService, |none| self.apply(none));
        }
        if self.seen.all_over() {
            return self.stopped();
        }
        if self.progress_overdue(self.work.release.as_ref()) {
            return Step::GiveUp(Blame::NoProgress);
        }
        none.and_then(|none| self.recount(&none, service))
            .unwrap_or_else(|| Step::Wait(self.pace()))
    }
    /// Nothing runs; why it was stopped is in the row already.
    fn stopped(&self) -> Step<'a> {
        let message = "its release was stopped: there is no stable one to go back to".into();
        self.back(Status::Failed, message, None)
    }

    /// The way back ends; what its owner withdrew ends as that.
    fn back(&self, to: Status, message: String, live: Option<Live>) -> Step<'a> {
        let canceled = self.deployment().reason_code == Some(ReasonCode::Canceled);
        let reason = canceled.then(|| {
            Reason::new(ReasonCode::Canceled, format!("canceled by its owner; {message}"))
        });
        Step::Go(Transition {
            to: if canceled { Status::Canceled } else { to },
            message,
            reason,
            marks: Marks::default(),
            evidence: None,
            live,
        })
    }
}
