//! What one worker remembers between two looks, and whom it looks at again. Pure.
//!
//! The list of the swarm tells of each service its spec's version and how many of its tasks run. As long
//! as that stays the same, an app of which all is well is believed to do as before: its status is
//! confirmed each minute with all others in one statement, and its tasks are looked at only every few
//! minutes, not of all apps at once.
//!
//! What the list does not tell is a task that ended and was replaced between two looks. On the worker's
//! own node the container's events lead to a look while the task is missing. Of other nodes Docker tells no
//! events: there it is seen if one of the looks, [`SWEEP`](super::SWEEP) apart on all but large platforms, falls into the
//! time between the end and the start of the next task (the restart's delay, 5 s by default, and until it
//! is healthy). An app that keeps crashing is caught soon, though not with its first crash; one that is
//! back within a moment each time may stay unseen until its tasks are looked at. An end that is found among
//! them has the app watched each minute from then on ([`Watch::Close`]). So a crash loop on another node is
//! found up to ten minutes late at worst (with 10,000 apps, 17), and until then the status names the tasks that were replaced;
//! its numbers are true all the time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use db::app_status::Unchanged;
use db::live::LiveApp;
use model::id::AppId;
use tokio::time::Instant;

use super::Looked;
use crate::swarm::ServiceCount;

/// How old `observed_at` gets while nothing changes.
pub(super) const FRESH: TimeDelta = TimeDelta::seconds(60);
/// Within this the tasks of an app of which all is well are looked at again, on a platform of up to 6,000 apps.
const SELDOM: TimeDelta = TimeDelta::minutes(10);
/// What each app counts for on a larger one: 10 to 20 such looks a second are made, and no more.
const EACH: TimeDelta = TimeDelta::milliseconds(100);

/// How closely an app is watched whose service stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// At every look: something is to be done about it.
    Constant,
    /// Each minute: not all of its replicas run, or one ended a while ago.
    Close,
    /// Every few minutes: all is well.
    Loose,
}

/// What one worker remembers.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) apps: HashMap<AppId, Known>,
    pub(super) census_at: Option<Instant>,
    /// Nodes that Swarm has given up, by id, with the services that had tasks there.
    pub(super) lost: BTreeMap<String, BTreeSet<String>>,
}

/// An app as it was looked at last.
pub(super) struct Known {
    service: Option<ServiceCount>,
    row: LiveApp,
    told: Option<Unchanged>,
    looked_at: DateTime<Utc>,
    /// When its status was written or confirmed.
    told_at: DateTime<Utc>,
    /// Since when Swarm keeps up fewer replicas than the service says.
    pub(super) short_since: Option<DateTime<Utc>>,
    watch: Watch,
    /// Where its tasks are on their network.
    pub(super) addresses: HashMap<String, Ipv4Addr>,
}

impl Known {
    pub(super) fn new(
        row: &LiveApp,
        service: Option<&ServiceCount>,
        looked: &Looked,
        now: DateTime<Utc>,
    ) -> Self {
        let told = looked.status.as_ref();
        Self {
            service: service.cloned(),
            row: row.clone(),
            told: told.map(|status| Unchanged {
                app: status.app_id,
                health: status.health,
                desired: status.desired,
            }),
            looked_at: now,
            told_at: now,
            short_since: looked.short_since,
            watch: looked.watch,
            addresses: told
                .into_iter()
                .flat_map(|status| &status.tasks.0)
                .filter_map(|task| Some((task.id.clone(), task.address?)))
                .collect(),
        }
    }

    /// Whether one of so many `apps` is.
    fn is_due(&self, service: Option<&ServiceCount>, now: DateTime<Utc>, apps: usize) -> bool {
        let patience = match self.watch {
            Watch::Constant => return true,
            Watch::Close => FRESH,
            Watch::Loose => seldom(self.row.id, apps),
        };
        self.service.as_ref() != service || now - self.looked_at >= patience
    }
}

/// How long the tasks of one of so many `apps` are left alone: from half of the longest time on, by the app's id, so
/// that apps which are looked at together once part after that.
fn seldom(app: AppId, apps: usize) -> TimeDelta {
    let half = SELDOM.max(EACH * i32::try_from(apps).unwrap_or(i32::MAX)) / 2;
    let spread = half.num_milliseconds().unsigned_abs();
    let chance = app.as_uuid().as_u128() % u128::from(spread);
    half + TimeDelta::milliseconds(i64::try_from(chance).unwrap_or_default())
}

impl Memory {
    /// Apps that have to be looked at in Postgres: their service changed, went or is new, there is
    /// something to be done about them, or their time has come.
    pub(super) fn due(
        &self,
        services: &HashMap<AppId, &ServiceCount>,
        now: DateTime<Utc>,
    ) -> HashSet<AppId> {
        let is_due = |id: &AppId, service: Option<&ServiceCount>| {
            self.apps.get(id).is_none_or(|known| known.is_due(service, now, self.apps.len()))
        };
        let listed = services.iter().filter(|(id, service)| is_due(id, Some(service)));
        let known = self.apps.keys().filter(|id| !services.contains_key(id) && is_due(id, None));
        listed.map(|(id, _)| id).chain(known).copied().collect()
    }

    /// Apps of which all is well and nothing has changed, and whose status gets old.
    pub(super) fn unchanged(
        &self,
        services: &HashMap<AppId, &ServiceCount>,
        now: DateTime<Utc>,
    ) -> Vec<Unchanged> {
        let known = self.apps.iter().filter(|(id, known)| {
            known.watch == Watch::Loose
                && now - known.told_at >= FRESH
                && !known.is_due(services.get(id).copied(), now, self.apps.len())
        });
        known.filter_map(|(_, known)| known.told).collect()
    }

    /// A node went down that has tasks of these services: their apps are looked at. Of that the list of the swarm tells nothing: what
    /// was heard last of a task stands there until it is replaced.
    pub(super) fn node_is_lost(
        &mut self,
        node: String,
        there: BTreeSet<String>,
        services: &HashMap<AppId, &ServiceCount>,
    ) {
        self.look_again(&there, services);
        self.lost.insert(node, there);
    }

    /// Only these nodes are lost still: apps with tasks on the others are looked at.
    pub(super) fn nodes_are_back(
        &mut self,
        lost: &BTreeSet<String>,
        services: &HashMap<AppId, &ServiceCount>,
    ) {
        let (still, back) =
            std::mem::take(&mut self.lost).into_iter().partition(|(node, _)| lost.contains(node));
        self.lost = still;
        let back: BTreeMap<String, BTreeSet<String>> = back;
        for there in back.values() {
            self.look_again(there, services);
        }
    }

    fn look_again(&mut self, touched: &BTreeSet<String>, services: &HashMap<AppId, &ServiceCount>) {
        for (app, known) in &mut self.apps {
            if services.get(app).is_some_and(|found| touched.contains(&found.service.id)) {
                known.looked_at = DateTime::UNIX_EPOCH;
            }
        }
    }

    /// Their status was confirmed, by this worker or by another one.
    pub(super) fn confirmed(&mut self, unchanged: &[Unchanged], now: DateTime<Utc>) {
        for one in unchanged {
            if let Some(known) = self.apps.get_mut(&one.app) {
                known.told_at = now;
            }
        }
    }

    /// Whether an app that is due is worth a closer look: a deployment at work changes much, and most of
    /// it is the deployment's own business.
    pub(super) fn is_worth_a_look(
        &self,
        row: &LiveApp,
        service: Option<&ServiceCount>,
        now: DateTime<Utc>,
    ) -> bool {
        self.apps.get(&row.id).is_none_or(|known| {
            known.service.as_ref() != service
                || known.row != *row
                || now - known.looked_at >= FRESH
                || (known.watch == Watch::Constant && !row.unfinished)
        })
    }

    /// When to look again at the latest: in time for an app that is to be tried again.
    pub(super) fn next_look(&self, now: DateTime<Utc>) -> Duration {
        let resumes = self.apps.values().filter_map(|known| known.row.crash_loop());
        let waits = resumes
            .filter(|crash_loop| crash_loop.resumes_at > now)
            .filter_map(|crash_loop| (crash_loop.resumes_at - now).to_std().ok());
        waits.min().unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests;
