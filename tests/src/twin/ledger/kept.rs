//! What is kept for apps, and what their organizations use.

use diesel::prelude::*;
use model::capacity::Reserved;
use model::deployment::Deployment;
use model::id::AppId;

use super::rows::Rows;

/// What is kept for all apps of an organization: what its quotas count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Queryable)]
pub struct Used {
    cpu_millis: i64,
    memory_mb: i64,
    disk_gb: i64,
    replicas: i64,
}

impl Used {
    /// This is kept for an app.
    pub fn take(&mut self, kept: Reserved) {
        self.add(kept, 1);
    }

    fn add(&mut self, kept: Reserved, times: i64) {
        self.cpu_millis += times * i64::from(kept.cpu_millis);
        self.memory_mb += times * i64::from(kept.memory_mb);
        self.disk_gb += times * i64::from(kept.disk_gb);
        self.replicas += times * i64::from(kept.tasks);
    }
}

impl Rows {
    /// Keeps this for an app, and moves what its organization uses.
    pub(super) fn keep(&mut self, app: AppId, kept: Reserved) {
        let Some(app) = self.apps.get_mut(&app) else { return };
        let used = self.used.entry(app.organization_id).or_default();
        used.add(app.reserved, -1);
        used.take(kept);
        app.reserved = kept;
    }

    /// After a deployment's end: keeps what is live, and what those that wait may need. `is_live`: what it needed is live.
    pub(super) fn keep_live(&mut self, ended: &Deployment, is_live: bool) {
        let need = self.needs.remove(&ended.id).unwrap_or_default();
        if is_live {
            self.live.insert(ended.app_id, need);
        }
        let live = self.live.get(&ended.app_id).copied().unwrap_or_default();
        let unfinished = self.deployments_of(ended.app_id).filter(|one| !one.status.is_terminal());
        let coming = unfinished.filter_map(|one| self.needs.get(&one.id));
        let kept = coming.fold(live, |kept, need| kept.or_more(*need));
        self.keep(ended.app_id, kept);
    }
}
