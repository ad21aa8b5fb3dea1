//! What a verdict leaves behind: on the app, on its release, and for whoever waits for the app.

use db::ledger::Transition;
use model::deployment::{Deployment, Kind};
use model::id::AppId;
use model::status::Status;

use super::rows::Rows;

impl Rows {
    /// Writes down on the app what the verdict found live.
    pub(super) fn settle(&mut self, deployment: &Deployment, transition: &Transition) {
        let now = self.now();
        let Some(app) = self.apps.get_mut(&deployment.app_id) else { return };
        if let Some(live) = transition.live {
            app.live_release_id = Some(live.release);
            app.live_restart_counter = live.restart_counter;
            app.live_replicas = Some(live.replicas);
            app.updated_at = now;
            if transition.to == Status::Succeeded
                && live.replicas > 0
                && let Some(release) = self.releases.get_mut(&live.release)
                && release.stable_at.is_none()
            {
                release.stable_at = Some(now);
                release.updated_at = now;
            }
        }
        match (deployment.kind, transition.to, transition.live) {
            (Kind::Remove, Status::Succeeded, _) => {
                app.removed_at = Some(now);
                app.live_release_id = None;
                app.live_replicas = None;
                app.updated_at = now;
            }
            (Kind::Remove, _, _) => {
                app.removal_requested_at = None;
                app.updated_at = now;
            }
            (Kind::Scale, Status::RolledBack, Some(live))
                if app.replicas == deployment.replicas =>
            {
                app.replicas = live.replicas;
            }
            _ => {}
        }
    }

    /// The app is free: wakes a worker for the deployment that waits for it.
    pub(super) fn wake_next(&mut self, app: AppId) {
        let next = self.deployments_of(app).find(|one| one.status == Status::Queued);
        if let Some(next) = next.map(|one| one.id) {
            self.wake(next);
        }
    }
}
