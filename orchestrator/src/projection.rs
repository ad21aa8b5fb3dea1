//! The projection of live status: what runs in Swarm, written into Postgres whenever it changes, so
//! that the API can tell it without a hand on Docker.
//!
//! Events wake it (they are local to a node, and may be lost); one cheap call for the whole swarm
//! is made every few seconds besides, and only the apps whose numbers changed are looked at closer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use db::Database;
use db::app_status::{app_status_all, app_status_forget, app_status_write};
use db::work::{DeployedApp, deployed_apps};
use model::app_status::{AppStatus, Health};
use model::error::chain;
use model::evidence::MAX_TASKS;
use model::id::{AppId, ReleaseId};
use model::names;
use model::platform::Platform;
use model::stored::Stored;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::deployment::record;
use crate::swarm::{ServiceCount, Swarm, Task, TaskState};

/// How often the swarm is looked at without having been told.
const SWEEP: Duration = Duration::from_secs(10);
/// Events come in crowds: they are gathered this long.
const GATHER: Duration = Duration::from_millis(200);
/// How old `observed_at` gets while nothing changes.
const FRESH: chrono::Duration = chrono::Duration::seconds(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Projects what runs.
pub struct Projection<S> {
    /// Where it is written.
    pub database: Database,
    /// What is observed.
    pub swarm: Arc<S>,
    /// Whose services.
    pub platform: Arc<Platform>,
}

impl<S: Swarm> Projection<S> {
    /// Runs until `stop`. Every worker may: they write the same.
    pub async fn run(self, stop: CancellationToken) {
        let mut known = None;
        while !stop.is_cancelled() {
            if let Err(error) = self.project(&mut known).await {
                tracing::warn!(error = %chain(&*error), "live status could not be projected");
                known = None;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(SWEEP) => {}
                () = self.change() => sleep(GATHER).await,
            }
        }
    }

    /// Waits for an event; for ever where there is no stream of them (the sweep goes on).
    async fn change(&self) {
        if self.swarm.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn project(&self, known: &mut Option<HashMap<AppId, AppStatus>>) -> Result<(), Failure> {
        let known = match known {
            Some(known) => known,
            None => known.insert(
                app_status_all(&self.database)
                    .await?
                    .into_iter()
                    .map(|status| (status.app_id, status))
                    .collect(),
            ),
        };
        let counts = self.swarm.service_counts(&self.platform.name).await?;
        let live: HashMap<AppId, ServiceCount> = counts
            .into_iter()
            .filter_map(|count| Some((count.labels.get(names::LABEL_APP)?.parse().ok()?, count)))
            .collect();
        let changed: Vec<AppId> = live
            .iter()
            .filter(|(app, count)| known.get(app).is_none_or(|status| differs(status, count)))
            .map(|(app, _)| *app)
            .collect();
        let mut seen = Vec::new();
        for app in deployed_apps(&self.database, &changed).await? {
            if let Some(count) = live.get(&app.id) {
                seen.push(self.observe(&app, count).await?);
            }
        }
        app_status_write(&self.database, &seen).await?;
        known.extend(seen.into_iter().map(|status| (status.app_id, status)));
        let gone: Vec<AppId> =
            known.keys().filter(|app| !live.contains_key(app)).copied().collect();
        if !gone.is_empty() {
            app_status_forget(&self.database, &gone).await?;
            known.retain(|app, _| live.contains_key(app));
        }
        Ok(())
    }

    async fn observe(&self, app: &DeployedApp, count: &ServiceCount) -> Result<AppStatus, Failure> {
        let mut tasks: Vec<Task> = self.swarm.tasks(&app.service_name).await?;
        let cause = cause(&tasks, count);
        tasks.retain(|task| task.desired <= TaskState::Running);
        tasks.sort_by_key(|task| (task.slot, task.created_at));
        let now = Utc::now();
        Ok(AppStatus {
            app_id: app.id,
            organization_id: app.organization_id,
            health: Health::of(count.desired, count.running),
            cause,
            release_id: release(count),
            desired: count.desired,
            running: count.running,
            tasks: Stored(tasks.iter().take(MAX_TASKS).map(record).collect()),
            since: now,
            observed_at: now,
        })
    }
}

/// Whether an app has to be looked at again.
fn differs(known: &AppStatus, count: &ServiceCount) -> bool {
    (known.desired, known.running, known.release_id)
        != (count.desired, count.running, release(count))
        || Utc::now() - known.observed_at > FRESH
}

/// The release that the live service carries.
fn release(count: &ServiceCount) -> Option<ReleaseId> {
    count.labels.get(names::LABEL_RELEASE)?.parse().ok()
}

/// Why not every replica runs, as the newest task that ended by itself has it.
fn cause(tasks: &[Task], count: &ServiceCount) -> Option<String> {
    if count.running >= count.desired {
        return None;
    }
    let waiting = tasks
        .iter()
        .filter(|task| task.desired <= TaskState::Running)
        .find_map(|task| task.error.clone());
    let failed = tasks
        .iter()
        .filter(|task| matches!(task.state, TaskState::Failed | TaskState::Rejected))
        .max_by_key(|task| task.created_at)
        .and_then(|task| task.error.clone());
    waiting.or(failed)
}
