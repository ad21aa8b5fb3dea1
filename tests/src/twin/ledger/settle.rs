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
        if let Some(live) = &transition.live {
            app.live_release_id = Some(live.release);
            app.live_restart_counter = live.restart_counter;
            app.live_replicas = Some(live.replicas);
            app.live_version = Some(live.fingerprint.version);
            self.fingerprints.insert(app.id, live.fingerprint.clone());
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
        match transition.to {
            Status::Succeeded if deployment.kind == Kind::Remove => {
                app.removed_at = Some(now);
                app.live_release_id = None;
                app.live_replicas = None;
                app.live_version = None;
                self.fingerprints.remove(&app.id);
                app.updated_at = now;
            }
            Status::Succeeded | Status::Superseded => {}
            _ => self.unset(deployment),
        }
    }

    /// Takes back what the accept of a deployment that came to nothing had set on its app.
    pub(super) fn unset(&mut self, deployment: &Deployment) {
        let now = self.now();
        let Some(app) = self.apps.get_mut(&deployment.app_id) else { return };
        match (deployment.kind, app.live_replicas) {
            (Kind::Scale, Some(live)) if app.replicas == deployment.replicas => app.replicas = live,
            (Kind::Stop, _) => app.stopped_at = None,
            (Kind::Start, _) => app.stopped_at = app.stopped_at.or(Some(now)),
            (Kind::Remove, _) => app.removal_requested_at = None,
            (Kind::Scale | Kind::Deploy | Kind::Rollback | Kind::Restart | Kind::Repair, _) => {}
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
