//! What is live: one look at the whole swarm every few seconds, and soon after each of its events. Each
//! app whose service changed is looked at closer; its status is projected into Postgres, so that the API
//! can tell it without a hand on Docker (`status`). An app whose tasks keep ending is slowed down
//! (`pace`, `slowing`), a service that is not as the last verdict left it is reported or repaired
//! (`difference`, `hands`), and what nobody knows is told and left alone (`quarantine`).
//!
//! It drives nothing: what a deployment is at work on is left to that. Every worker runs it; what two of
//! them do at once is settled by Postgres and by Swarm's versions.

mod difference;
mod hands;
mod pace;
mod quarantine;
mod slowing;
mod status;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use db::Database;
use db::app_status::{app_status_apps, app_status_forget, app_status_write};
use db::drift::drift_settled;
use db::live::{LiveApp, live_app_ids, live_apps};
use futures::StreamExt;
use model::app_status::AppStatus;
use model::error::chain;
use model::id::AppId;
use model::names;
use model::platform::Platform;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::swarm::{ServiceCount, Swarm};
use crate::wakeups::Relay;

/// How often the swarm is looked at without having been told.
const SWEEP: Duration = Duration::from_secs(10);
/// How often every app that should be live is looked for, and every object that nobody knows.
const CENSUS: Duration = Duration::from_secs(60);
/// Events come in crowds: they are gathered this long.
const GATHER: Duration = Duration::from_millis(200);
/// Pause before a stream of events that ended is opened again.
const AGAIN: Duration = Duration::from_secs(1);
/// How old `observed_at` gets while nothing changes.
const FRESH: TimeDelta = TimeDelta::seconds(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Watches what is live.
pub struct Live<S, R> {
    /// Where it is written.
    pub database: Database,
    /// What is looked at.
    pub swarm: Arc<S>,
    /// Whose services.
    pub platform: Arc<Platform>,
    /// Where the wake-ups of repairs go out.
    pub relay: R,
}

/// What one worker remembers between two looks.
#[derive(Default)]
struct Memory {
    apps: HashMap<AppId, Known>,
    census_at: Option<Instant>,
}

/// An app as it was looked at last.
struct Known {
    service: Option<ServiceCount>,
    row: LiveApp,
    looked_at: DateTime<Utc>,
    /// Since when Swarm keeps up fewer replicas than the service says.
    short_since: Option<DateTime<Utc>>,
    /// Whether nothing is to be done before something changes.
    is_settled: bool,
}

/// What a closer look at an app came to.
struct Looked {
    status: Option<AppStatus>,
    short_since: Option<DateTime<Utc>>,
    is_settled: bool,
}

impl<S: Swarm, R: Relay> Live<S, R> {
    /// Runs until `stop`.
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
        let mut memory = Memory::default();
        loop {
            if let Err(error) = self.look(&mut memory).await {
                tracing::warn!(error = %chain(&*error), "what is live could not be looked at");
                memory = Memory::default();
            }
            tokio::select! {
                () = sleep(memory.next_look()) => {}
                () = changed.notified() => sleep(GATHER).await,
            }
        }
    }

    /// One look at everything.
    async fn look(&self, memory: &mut Memory) -> Result<(), Failure> {
        let listed = self.swarm.service_counts(&self.platform.name).await?;
        let services: HashMap<AppId, &ServiceCount> =
            listed.iter().filter_map(|one| Some((app_of(one)?, one))).collect();
        let is_census = memory.census_at.is_none_or(|at| at.elapsed() >= CENSUS);
        let now = Utc::now();
        let mut ids = memory.due(&services, now);
        if is_census {
            let elsewhere = |id: &AppId| !services.contains_key(id);
            ids.extend(live_app_ids(&self.database).await?.into_iter().filter(elsewhere));
            ids.extend(app_status_apps(&self.database).await?.into_iter().filter(elsewhere));
        }
        let ids: Vec<AppId> = ids.into_iter().collect();
        let rows: HashMap<AppId, LiveApp> =
            live_apps(&self.database, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
        let (mut statuses, mut settled, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for id in ids {
            let service = services.get(&id).copied();
            let row = rows.get(&id).filter(|row| !row.removed);
            let (Some(row), true) = (row, row.is_some_and(|row| should_have(row, service))) else {
                gone.push(id);
                memory.apps.remove(&id);
                continue;
            };
            let before = memory.apps.get(&id);
            if !memory.is_worth_a_look(row, service, now) {
                continue;
            }
            let looked = match self.look_at(row, service, before, now).await {
                Ok(looked) => looked,
                // One app's trouble is not the others'; it is looked at again.
                Err(error) => {
                    tracing::warn!(app = %id, error = %chain(&*error), "not looked at");
                    continue;
                }
            };
            statuses.extend(looked.status);
            if looked.is_settled {
                settled.push(id);
            }
            memory.apps.insert(
                id,
                Known {
                    service: service.cloned(),
                    row: row.clone(),
                    looked_at: now,
                    short_since: looked.short_since,
                    is_settled: looked.is_settled,
                },
            );
        }
        app_status_write(&self.database, &statuses).await?;
        settled.extend(&gone);
        drift_settled(&self.database, &settled).await?;
        if !gone.is_empty() {
            app_status_forget(&self.database, &gone).await?;
        }
        if is_census {
            self.quarantine(&listed).await?;
            memory.census_at = Some(Instant::now());
        }
        Ok(())
    }
}

/// The app whose service this is.
fn app_of(service: &ServiceCount) -> Option<AppId> {
    let app = service.service.label(names::LABEL_APP)?.parse().ok()?;
    names::is_service_name(&service.name, app).then_some(app)
}

/// Whether an app has, or should have, a service.
fn should_have(row: &LiveApp, service: Option<&ServiceCount>) -> bool {
    service.is_some() || row.release_id.is_some()
}

impl Memory {
    /// Apps that have to be looked at in Postgres: their service changed, went or is new, there is
    /// something to be done about them, or what was written of them gets old.
    fn due(&self, services: &HashMap<AppId, &ServiceCount>, now: DateTime<Utc>) -> HashSet<AppId> {
        let is_due = |id: &AppId, service: Option<&ServiceCount>| match self.apps.get(id) {
            Some(known) => {
                !known.is_settled
                    || known.service.as_ref() != service
                    || now - known.looked_at >= FRESH
            }
            None => true,
        };
        let listed = services.iter().filter(|(id, service)| is_due(id, Some(service)));
        let known = self.apps.keys().filter(|id| !services.contains_key(id) && is_due(id, None));
        listed.map(|(id, _)| id).chain(known).copied().collect()
    }

    /// Whether an app that is due is worth a closer look: a deployment at work changes much, and most of
    /// it is the deployment's own business.
    fn is_worth_a_look(
        &self,
        row: &LiveApp,
        service: Option<&ServiceCount>,
        now: DateTime<Utc>,
    ) -> bool {
        self.apps.get(&row.id).is_none_or(|known| {
            known.service.as_ref() != service
                || known.row != *row
                || now - known.looked_at >= FRESH
                || (!known.is_settled && !row.unfinished)
        })
    }

    /// When to look again without having been told: in time for an app that is to be tried again.
    fn next_look(&self) -> Duration {
        let resumes = self.apps.values().filter_map(|known| known.row.crash_loop());
        let now = Utc::now();
        let waits = resumes
            .filter(|crash_loop| crash_loop.resumes_at > now)
            .filter_map(|crash_loop| (crash_loop.resumes_at - now).to_std().ok());
        waits.min().map_or(SWEEP, |wait| wait.min(SWEEP))
    }
}
