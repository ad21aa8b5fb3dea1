//! The projection of live status: what runs in Swarm, written into Postgres whenever it changes, so
//! that the API can tell it without a hand on Docker.
//!
//! Events wake it (they are local to a node, and may be lost); one cheap call for the whole swarm
//! is made every few seconds besides, and only the apps whose numbers changed are looked at closer.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use db::Database;
use db::app_status::{app_status_apps, app_status_forget, app_status_write};
use db::work::{DeployedApp, deployed_apps};
use futures::StreamExt;
use model::app_status::{AppStatus, Health};
use model::error::chain;
use model::evidence::MAX_TASKS;
use model::id::{AppId, ReleaseId};
use model::names;
use model::platform::Platform;
use model::stored::Stored;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::deployment::record;
use crate::swarm::{ServiceCount, Swarm, Task, TaskState};

/// How often the swarm is looked at without having been told.
const SWEEP: Duration = Duration::from_secs(10);
/// Events come in crowds: they are gathered this long.
const GATHER: Duration = Duration::from_millis(200);
/// Pause before a stream of events that ended is opened again.
const AGAIN: Duration = Duration::from_secs(1);
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

/// What an app's numbers were when it was looked at closer, and when that was. `None`: not yet by
/// this worker.
type Known = HashMap<AppId, Option<(ServiceCount, DateTime<Utc>)>>;

impl<S: Swarm> Projection<S> {
    /// Runs until `stop`. Every worker may: they write the same.
    pub async fn run(self, stop: CancellationToken) {
        let changed = Notify::new();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.listen(&changed) => {}
            () = self.follow(&changed) => {}
        }
    }

    /// Passes events on. One that comes while the last ones are being looked into is kept.
    async fn listen(&self, changed: &Notify) {
        loop {
            let mut changes = pin!(self.swarm.changes());
            while let Some(Ok(())) = changes.next().await {
                changed.notify_one();
            }
            sleep(AGAIN).await;
        }
    }

    async fn follow(&self, changed: &Notify) {
        let mut known = None;
        loop {
            if let Err(error) = self.project(&mut known).await {
                tracing::warn!(error = %chain(&*error), "live status could not be projected");
                known = None;
            }
            tokio::select! {
                () = sleep(SWEEP) => {}
                () = changed.notified() => sleep(GATHER).await,
            }
        }
    }

    async fn project(&self, known: &mut Option<Known>) -> Result<(), Failure> {
        let known = match known {
            Some(known) => known,
            None => {
                let apps = app_status_apps(&self.database).await?;
                known.insert(apps.into_iter().map(|app| (app, None)).collect())
            }
        };
        let counts = self.swarm.service_counts(&self.platform.name).await?;
        let live: HashMap<AppId, ServiceCount> = counts
            .into_iter()
            .filter_map(|count| Some((count.labels.get(names::LABEL_APP)?.parse().ok()?, count)))
            .collect();
        let now = Utc::now();
        let settled = |app: &AppId, count: &ServiceCount| {
            let known = known.get(app).and_then(Option::as_ref);
            known.is_some_and(|(before, at)| before == count && now - *at < FRESH)
        };
        let changed: Vec<AppId> =
            live.iter().filter(|(app, count)| !settled(app, count)).map(|(app, _)| *app).collect();
        let mut seen = Vec::new();
        for app in deployed_apps(&self.database, &changed).await? {
            if let Some(count) = live.get(&app.id) {
                seen.push(self.observe(&app, count).await?);
                known.insert(app.id, Some((count.clone(), now)));
            }
        }
        app_status_write(&self.database, &seen).await?;
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
        let cause = cause(&tasks);
        // Docker's own count takes in tasks that are meant to end and still drain.
        tasks.retain(|task| task.desired <= TaskState::Running);
        tasks.sort_by_key(|task| (task.slot, task.created_at));
        let running = tasks.iter().filter(|task| task.state == TaskState::Running).count();
        let running = i32::try_from(running).unwrap_or(i32::MAX).min(count.desired);
        let now = Utc::now();
        Ok(AppStatus {
            app_id: app.id,
            organization_id: app.organization_id,
            health: Health::of(count.desired, running),
            cause: cause.filter(|_| running < count.desired),
            release_id: release(count),
            desired: count.desired,
            running,
            tasks: Stored(tasks.iter().take(MAX_TASKS).map(record).collect()),
            since: now,
            observed_at: now,
        })
    }
}

/// The release that the live service carries.
fn release(count: &ServiceCount) -> Option<ReleaseId> {
    count.labels.get(names::LABEL_RELEASE)?.parse().ok()
}

/// Why not every replica runs: what a task that waits is waiting for, else what the newest one that
/// ended by itself died of.
fn cause(tasks: &[Task]) -> Option<String> {
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
