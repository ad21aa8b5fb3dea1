//! What is done about an app that was looked at: its status is told, its pace kept (`slowing`), its drift
//! reported and repaired. It can all be done twice.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;

use chrono::{DateTime, TimeDelta, Utc};
use db::deployments::deployment_repair;
use db::drift::{Finding, drift_found};
use db::live::{LiveApp, live_apps, live_version_set};
use model::drift::{DriftKind, ObjectType, OnDrift};
use model::evidence::MAX_TASKS;

use super::difference::{Difference, difference};
use super::memory::{Known, Watch};
use super::slowing::Kept;
use super::{Failure, Live, Looked, pace, status};
use crate::swarm::{Service, ServiceCount, Swarm, Task, TaskState};
use crate::wakeups::Relay;

/// How long Swarm may keep up fewer replicas than a service says, with nobody at work on it. SwarmKit
/// loses count where a task ends in the moment of an update; any update makes it count again.
const SHORT: TimeDelta = TimeDelta::seconds(60);

impl<S: Swarm, R: Relay> Live<S, R> {
    /// Looks at one app, and does what is to be done.
    pub(super) async fn look_at(
        &self,
        app: &LiveApp,
        seen: Option<&ServiceCount>,
        before: Option<&Known>,
        lost: &BTreeMap<String, BTreeSet<String>>,
        now: DateTime<Utc>,
    ) -> Result<Looked, Failure> {
        let Some(seen) = seen else {
            let is_settled = self.tend(app, None, &[]).await?;
            let status = (!app.unfinished).then(|| status::of_nothing(app, now));
            let watch = if is_settled { Watch::Close } else { Watch::Constant };
            return Ok(Looked { status, short_since: None, is_settled, watch });
        };
        let service = &seen.service;
        let tasks = self.swarm.tasks(&service.id).await?;
        let Kept { crash_loop, crashes, is_written } =
            self.keep_pace(app, service, &tasks, now).await?;
        // One that is slowed down may have been written by a worker that died before it could say so.
        let slowed = crash_loop.as_ref().filter(|slowed| slowed.recovered_at.is_none());
        let expected: Vec<i32> =
            app.replicas.into_iter().chain(slowed.map(|slowed| slowed.kept)).collect();
        // What was just written is looked at again before it is compared.
        let is_as_left = !is_written && self.tend(app, Some(service), &expected).await?;
        let short_since = is_short(app, service, &tasks)
            .then(|| before.and_then(|known| known.short_since).unwrap_or(now));
        if short_since.is_some_and(|since| now - since > SHORT) && is_as_left {
            let sentence = format!(
                "Swarm keeps up fewer replicas of {} than the {} that it has",
                app.service_name, service.replicas
            );
            self.drifted(app, DriftKind::Short, &sentence).await?;
        }
        let addresses = self.addresses(service, (&tasks, lost), before).await;
        let status = status::of_service(app, service, (&tasks, lost), &addresses, crashes, now);
        let is_settled = is_as_left && !app.unfinished && slowed.is_none() && short_since.is_none();
        // By the list, too: whether that stays as it is will be all that is asked.
        let is_whole = status.running == status.desired && seen.running == seen.desired;
        let watch = if !is_settled || crash_loop.is_some() {
            Watch::Constant
        } else if !is_whole || pace::ended_lately(&tasks, now) {
            Watch::Close
        } else {
            Watch::Loose
        };
        Ok(Looked { status: Some(status), short_since, is_settled, watch })
    }

    /// Where its tasks are on their network. A task keeps its address: one that is known is not asked for again.
    async fn addresses(
        &self,
        service: &Service,
        (tasks, lost): (&[Task], &BTreeMap<String, BTreeSet<String>>),
        before: Option<&Known>,
    ) -> HashMap<String, Ipv4Addr> {
        let mut known = before.map(|known| known.addresses.clone()).unwrap_or_default();
        let runs = |task: &&Task| {
            let is_lost = task.node.as_ref().is_some_and(|node| lost.contains_key(node));
            task.state == TaskState::Running && task.desired <= TaskState::Running && !is_lost
        };
        let mut running: Vec<&Task> = tasks.iter().filter(runs).collect();
        // Those that the status shows.
        running.sort_by_key(|task| (task.slot, task.created_at));
        running.truncate(MAX_TASKS);
        known.retain(|id, _| running.iter().any(|task| task.id == *id));
        let new: Vec<&Task> =
            running.into_iter().filter(|task| !known.contains_key(&task.id)).collect();
        if let Some(network) = service.networks.first()
            && !new.is_empty()
        {
            known.extend(self.swarm.addresses(network, &new).await);
        }
        known
    }

    /// Compares a service with what the last verdict left. True: it is as it should be.
    async fn tend(
        &self,
        app: &LiveApp,
        service: Option<&Service>,
        expected: &[i32],
    ) -> Result<bool, Failure> {
        match (difference(app, service, expected), service) {
            (Difference::None, _) => Ok(!app.unfinished),
            (Difference::Wait, _) => Ok(false),
            (Difference::Adopt(told), Some(service)) => {
                if !self.is_still(app, Some(service)).await? {
                    return Ok(false);
                }
                let now = service.fingerprint();
                let adopted = live_version_set(&self.database, app.id, app.version, &now).await?;
                if let (Some(sentence), true) = (told, adopted) {
                    self.tell(app, DriftKind::TakenBack, &sentence, true).await?;
                }
                Ok(false)
            }
            (Difference::Adopt(_), None) => Ok(false),
            (Difference::Drift(kind, sentence), _) => {
                if self.is_still(app, service).await? {
                    self.drifted(app, kind, &sentence).await?;
                }
                Ok(false)
            }
        }
    }

    /// Whether service and row are as they were looked at. The list is older than the row: a verdict, or
    /// another worker, may be in between.
    async fn is_still(&self, app: &LiveApp, service: Option<&Service>) -> Result<bool, Failure> {
        let again = self.swarm.service(&app.service_name).await?;
        let row = live_apps(&self.database, &[app.id]).await?.pop();
        let version = |service: &Service| service.version;
        Ok(again.as_ref().map(version) == service.map(version) && row.as_ref() == Some(app))
    }

    /// Reports what is wrong with an app's service, and has it repaired where that is the setting.
    pub(super) async fn drifted(
        &self,
        app: &LiveApp,
        kind: DriftKind,
        sentence: &str,
    ) -> Result<(), Failure> {
        self.tell(app, kind, sentence, false).await?;
        if self.platform.on_drift == OnDrift::Report {
            return Ok(());
        }
        let repair = deployment_repair(&self.database, app.id, app.version, sentence, None).await?;
        if let Some(deployment) = repair {
            self.relay.wake();
            let finding = Finding { deployment: Some(deployment), ..of(app, kind, sentence) };
            drift_found(&self.database, &finding).await?;
            tracing::warn!(app = %app.id, %deployment, sentence, "repaired");
        }
        Ok(())
    }

    pub(super) async fn tell(
        &self,
        app: &LiveApp,
        kind: DriftKind,
        sentence: &str,
        resolved: bool,
    ) -> Result<(), Failure> {
        let finding = Finding { resolved, ..of(app, kind, sentence) };
        if drift_found(&self.database, &finding).await? {
            tracing::warn!(app = %app.id, %kind, sentence, "drift");
        }
        Ok(())
    }
}

fn of<'a>(app: &'a LiveApp, kind: DriftKind, sentence: &'a str) -> Finding<'a> {
    Finding {
        kind,
        object_type: ObjectType::Service,
        object: &app.service_name,
        app: Some((app.organization_id, app.id)),
        sentence,
        deployment: None,
        resolved: false,
    }
}

/// Whether Swarm keeps up fewer replicas than the service has, for no reason of the spec's.
fn is_short(app: &LiveApp, service: &Service, tasks: &[Task]) -> bool {
    let slots: HashSet<i64> = tasks
        .iter()
        .filter(|task| task.desired <= TaskState::Running)
        .map(|task| task.slot)
        .collect();
    app.restarts
        && !app.unfinished
        && i32::try_from(slots.len()).is_ok_and(|slots| slots < service.replicas)
}
