//! Removal: no replicas first, then no service.

use model::reason::ReasonCode;
use model::status::Status;

use super::super::target::Target;
use super::{Planner, Step, end};

impl<'a> Planner<'a, '_> {
    /// No replicas first, then no service: the end is said when every task has ended.
    pub(super) fn remove(&self) -> Step<'a> {
        let Some(service) = &self.seen.service else {
            return end(
                Status::Succeeded,
                ReasonCode::Removed,
                "the app's service and its tasks are gone".into(),
            );
        };
        let runnable =
            Target::wanted(self.work).filter(|target| target.release.resolved_image.is_some());
        if self.seen.memory.undrainable {
            return Step::RemoveService;
        }
        if let Some(none) = runnable {
            if service.replicas > 0 {
                return self.apply(none);
            }
            if let Some(step) = self.recount(&none, service) {
                return step;
            }
        }
        // A service that is removed in the very moment in which SwarmKit forgets a task of it ends the
        // whole daemon: SetServiceTasksRemove looks a task up and does not expect it to be gone. So
        // that has to be over, too; it takes a fraction of a second.
        let all_over = self.seen.all_over() && !self.seen.forgets_tasks();
        // A task that does not end in time goes with its service.
        if all_over || service.replicas > 0 || self.progress_overdue(self.work.release.as_ref()) {
            return Step::RemoveService;
        }
        Step::Wait(self.pace())
    }
}
