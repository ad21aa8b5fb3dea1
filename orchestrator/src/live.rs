//! What is live: one look at the whole swarm every few seconds, and soon after each of its events. Each
//! app whose service changed is looked at closer; its status is projected into Postgres, so that the API
//! can tell it without a hand on Docker (`status`). An app whose tasks keep ending is slowed down
//! (`pace`, `slowing`), a service that is not as the last verdict left it is reported or repaired
//! (`difference`, `hands`), and what nobody knows is told and left alone (`quarantine`). `memory` decides
//! who is looked at when.
//!
//! It drives nothing: what a deployment is at work on is left to that. Every worker runs it; what two of
//! them do at once is settled by Postgres and by Swarm's versions. What they saw is told in Postgres's
//! time, so that of two observations the newer one stays.

mod difference;
mod hands;
mod logins;
mod memory;
mod pace;
mod quarantine;
mod slowing;
mod status;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use db::Database;
use db::app_status::{app_status_confirm, app_status_forget, app_status_write};
use db::drift::drift_settled;
use db::live::{LiveApp, live_apps, live_apps_elsewhere, live_clock};
use futures::StreamExt;
use model::app_status::AppStatus;
use model::error::chain;
use model::id::AppId;
use model::names;
use model::platform::Platform;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::swarm::{ServiceCount, Swarm};
use crate::vault::Vault;
use crate::wakeups::Relay;
use memory::{FRESH, Known, Memory, Watch};

/// How often the swarm is looked at without having been told, where a look takes no longer than a fifth of a second.
const SWEEP: Duration = Duration::from_secs(10);
/// And how often at least, however long one takes.
const SELDOMMEST: Duration = Duration::from_secs(60);
/// How often every app that should be live is looked for, and every object that nobody knows.
const CENSUS: Duration = Duration::from_secs(60);
/// Events come in crowds: they are gathered this long.
const GATHER: Duration = Duration::from_millis(200);
/// Pause before a stream of events that ended is opened again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many apps are looked at before it is written down what was seen.
const AT_ONCE: usize = 200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Watches what is live.
pub struct Live<S, R> {
    /// Where it is written.
    pub database: Database,
    /// What is looked at.
    pub swarm: Arc<S>,
    /// Whose services.
    pub platform: Arc<Platform>,
    /// What releases mount.
    pub vault: Arc<dyn Vault>,
    /// Where the wake-ups of repairs go out.
    pub relay: R,
}

/// Postgres's clock, as it goes on here.
struct Clock {
    said: DateTime<Utc>,
    at: Instant,
}

impl Clock {
    async fn read(database: &Database) -> Result<Self, Failure> {
        let said = live_clock(database).await?;
        // After the answer: what is seen is never told as newer than it is.
        Ok(Self { said, at: Instant::now() })
    }

    fn now(&self) -> DateTime<Utc> {
        self.said + TimeDelta::from_std(self.at.elapsed()).unwrap_or_default()
    }
}

/// What a closer look at an app came to.
struct Looked {
    status: Option<AppStatus>,
    short_since: Option<DateTime<Utc>>,
    /// Whether its service is as it should be.
    is_settled: bool,
    watch: Watch,
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
            let began = Instant::now();
            let looked = self.look(&mut memory).await;
            let took = began.elapsed();
            let wait = match looked {
                Ok(wait) => wait.min(unasked(took)),
                Err(error) => {
                    tracing::warn!(error = %chain(&*error), "what is live could not be looked at");
                    SWEEP
                }
            };
            let rest = rest(took);
            let rested = Instant::now() + rest;
            tokio::select! {
                () = sleep(wait.max(rest)) => {}
                () = changed.notified() => sleep_until(rested.max(Instant::now() + GATHER)).await,
            }
        }
    }

    /// One look at everything. Returns when to look again at the latest, for an app that is to be tried again then.
    async fn look(&self, memory: &mut Memory) -> Result<Duration, Failure> {
        let clock = Clock::read(&self.database).await?;
        let now = clock.now();
        let listed = self.swarm.service_counts(&self.platform.name).await?;
        let services: HashMap<AppId, &ServiceCount> =
            listed.iter().filter_map(|one| Some((app_of(one)?, one))).collect();
        self.follow_nodes(memory, &services).await;
        self.keep_logins(&services).await?;
        let mut due = memory.due(&services, now);
        let unchanged = memory.unchanged(&services, now);
        let others = app_status_confirm(&self.database, &unchanged, now, FRESH).await?;
        memory.confirmed(&unchanged, now);
        for app in others {
            memory.apps.remove(&app);
            due.insert(app);
        }
        let is_census = memory.census_at.is_none_or(|at| at.elapsed() >= CENSUS);
        if is_census {
            let seen: Vec<AppId> = services.keys().copied().collect();
            due.extend(live_apps_elsewhere(&self.database, &seen).await?);
        }
        let due: Vec<AppId> = due.into_iter().collect();
        for ids in due.chunks(AT_ONCE) {
            self.look_into(ids, (now, &services), memory, &clock).await?;
        }
        if is_census {
            self.quarantine(&listed).await?;
            memory.census_at = Some(Instant::now());
        }
        Ok(memory.next_look(clock.now()))
    }

    /// Has the apps looked at that have tasks on a node which went down or came back. Where that cannot be told now, what was known
    /// stays, and it is told at the next look.
    async fn follow_nodes(&self, memory: &mut Memory, services: &HashMap<AppId, &ServiceCount>) {
        let lost = match self.swarm.lost_nodes().await {
            Ok(lost) => lost,
            Err(error) => {
                tracing::warn!(%error, "which nodes are lost is not known");
                return;
            }
        };
        let new: Vec<String> =
            lost.iter().filter(|node| !memory.lost.contains_key(*node)).cloned().collect();
        for node in new {
            match self.swarm.services_on(&node).await {
                Ok(there) => memory.node_is_lost(node, there, services),
                Err(error) => tracing::warn!(%error, node, "what runs on a lost node is not known"),
            }
        }
        memory.nodes_are_back(&lost, services);
    }

    /// A closer look at these apps. It is remembered once it is written down.
    async fn look_into(
        &self,
        ids: &[AppId],
        (listed_at, services): (DateTime<Utc>, &HashMap<AppId, &ServiceCount>),
        memory: &mut Memory,
        clock: &Clock,
    ) -> Result<(), Failure> {
        let rows: HashMap<AppId, LiveApp> =
            live_apps(&self.database, ids).await?.into_iter().map(|row| (row.id, row)).collect();
        let (mut statuses, mut settled, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut known = HashMap::new();
        for id in ids {
            let service = services.get(id).copied();
            let row = rows.get(id).filter(|row| !row.removed && should_have(row, service));
            let Some(row) = row else {
                gone.push(*id);
                continue;
            };
            let now = clock.now();
            if !memory.is_worth_a_look(row, service, now) {
                continue;
            }
            let looked =
                match self.look_at(row, service, memory.apps.get(id), &memory.lost, now).await {
                    Ok(looked) => looked,
                    // One app's trouble is not the others'; it is looked at again.
                    Err(error) => {
                        tracing::warn!(app = %id, error = %chain(&*error), "not looked at");
                        continue;
                    }
                };
            if looked.is_settled {
                settled.push(*id);
            }
            known.insert(*id, Known::new(row, service, &looked, now));
            // As old as the oldest that it was made of: another worker's may be newer.
            let stamped = |status| AppStatus { since: listed_at, observed_at: listed_at, ..status };
            statuses.extend(looked.status.map(stamped));
        }
        app_status_write(&self.database, statuses).await?;
        app_status_forget(&self.database, &gone, listed_at).await?;
        settled.extend(&gone);
        drift_settled(&self.database, &settled).await?;
        for id in &gone {
            memory.apps.remove(id);
        }
        memory.apps.extend(known);
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

/// The pause after a look that took so long. Events never end on a large platform, and a look costs the
/// more, the larger it is: not more than a tenth of the time is spent on looking, as long as a look takes no more than a
/// second.
fn rest(took: Duration) -> Duration {
    took.saturating_mul(9).clamp(GATHER, SWEEP)
}

/// The pause where no event asks for a look: what idles costs a fiftieth of a processor at most, as long as a look
/// takes no more than a second.
fn unasked(took: Duration) -> Duration {
    took.saturating_mul(49).clamp(SWEEP, SELDOMMEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_event_a_look_is_a_fiftieth_of_the_time() {
        let pauses = [5, 200, 500, 1000, 5000].map(|millis| unasked(Duration::from_millis(millis)));
        assert_eq!(pauses.map(|pause| pause.as_millis()), [10_000, 10_000, 24_500, 49_000, 60_000]);
    }

    #[test]
    fn a_look_is_followed_by_a_rest_of_nine_times_its_length() {
        let rests = [5, 22, 100, 1000, 2000].map(|millis| rest(Duration::from_millis(millis)));
        assert_eq!(rests.map(|rest| rest.as_millis()), [200, 200, 900, 9000, 10_000]);
    }
}
