//! The judge: what is believed of Skep, checked against ledger and Swarm themselves, never against
//! what the code under search says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use db::ledger::{Claim, Live, Transition};
use model::app::App;
use model::capacity::Need;
use model::deployment::{Deployment, DeploymentEvent, Kind};
use model::id::{AppId, DeploymentId, OrganizationId, WorkerId};
use model::names;
use model::reason::ReasonCode;
use model::status::Status;
use orchestrator::swarm::{Service, Task, TaskState};

use super::cast::GOOD;
use super::story_ledger::StoryLedger;
use crate::twin::clock::Clock;
use crate::twin::ledger::Used;
use crate::twin::swarm::SimulatedSwarm;

/// Watches a story.
pub(super) struct Judge<L> {
    ledger: L,
    clock: Clock,
    swarm: SimulatedSwarm,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// What each worker saw last of a service, by its name.
    looks: BTreeMap<(WorkerId, String), Look>,
    /// Since when each task is known to run.
    running: BTreeMap<String, DateTime<Utc>>,
    /// When somebody else last changed an app's service.
    meddled: BTreeMap<AppId, DateTime<Utc>>,
    /// When the look was begun that an app's last verdict went by: a worker may have stood still since.
    judged_by: BTreeMap<AppId, DateTime<Utc>>,
    violations: Vec<String>,
}

/// What a worker saw last of a service and of its tasks. It asks for both at once, and either may be answered first.
#[derive(Clone, Default)]
struct Look {
    /// When the tasks were seen.
    at: DateTime<Utc>,
    /// When the service was.
    service_at: DateTime<Utc>,
    service: Option<Service>,
    tasks: Vec<Task>,
}

type Verdict = Result<(), String>;

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(why()) }
}

impl<L: StoryLedger> Judge<L> {
    pub(super) fn new(ledger: L, swarm: SimulatedSwarm, clock: Clock) -> Self {
        Self { ledger, clock, swarm, notes: Mutex::default() }
    }

    pub(super) fn object(&self, why: String) {
        let now = self.clock.now();
        self.notes().violations.push(format!("{now}: {why}"));
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.notes().violations.clone()
    }

    /// Somebody else changes an app's service now.
    pub(super) fn meddled(&self, app: AppId) {
        let now = self.clock.now();
        self.notes().meddled.insert(app, now);
    }

    /// Of a service that is not there no tasks count.
    pub(super) fn saw_service(&self, worker: WorkerId, name: &str, service: Option<&Service>) {
        let now = self.clock.now();
        let mut notes = self.notes();
        let look = notes.looks.entry((worker, name.to_owned())).or_default();
        (look.service_at, look.service) = (now, service.cloned());
        if service.is_none() {
            look.tasks.clear();
        }
    }

    /// `key`: the service's name, or its id.
    pub(super) fn saw_tasks(&self, worker: WorkerId, key: &str, tasks: &[Task]) {
        let now = self.clock.now();
        let mut notes = self.notes();
        for task in tasks.iter().filter(|task| task.state == TaskState::Running) {
            notes.running.entry(task.id.clone()).or_insert(now);
        }
        let by_id = |look: &Look| look.service.as_ref().is_some_and(|found| found.id == key);
        let named = notes.looks.iter().find(|((seer, _), look)| *seer == worker && by_id(look));
        let name = named.map_or_else(|| key.to_owned(), |((_, name), _)| name.clone());
        let look = notes.looks.entry((worker, name)).or_default();
        (look.at, look.tasks) = (now, tasks.to_vec());
    }

    /// At most one deployment drives an app.
    pub(super) fn claimed(&self) {
        let mut apps = BTreeSet::new();
        for lease in self.ledger.leases() {
            if !apps.insert(lease.app) {
                self.object(format!("two deployments drive {}", lease.app));
            }
        }
    }

    /// No change without a lease. `service`: the name of the one that is changed; `None`: something
    /// that several apps share.
    pub(super) fn change(&self, worker: WorkerId, service: Option<&str>) {
        let now = self.clock.now();
        let may = self.ledger.leases().into_iter().any(|lease| {
            lease.worker == worker
                && lease.expires_at > now
                && service.is_none_or(|name| {
                    self.ledger.app(lease.app).is_some_and(|app| app.service_name == name)
                })
        });
        if !may {
            self.object(format!("{worker} changed {} without a lease", service.unwrap_or("swarm")));
        }
    }

    /// A wake-up is answered when what it told of does not wait for a worker any more.
    pub(super) fn answered(&self, deployment: DeploymentId) {
        let Some(found) = self.ledger.deployment(deployment) else { return };
        let free = self.ledger.leases().iter().all(|lease| lease.app != found.app_id);
        if found.status == Status::Queued && free {
            self.object(format!("the wake-up of {deployment} was answered before its claim"));
        }
    }

    /// A verdict says what its worker's last look showed. `before`: the app, as it was.
    pub(super) fn verdict(
        &self,
        worker: WorkerId,
        claim: Claim,
        before: Option<App>,
        transition: &Transition,
    ) -> Verdict {
        let deployment = self.ledger.deployment(claim.deployment).ok_or("no such deployment")?;
        let app = before.ok_or("no such app")?;
        let look = self.notes().looks.get(&(worker, app.service_name.clone())).cloned();
        if let Some(look) = &look
            && transition.to.is_terminal()
        {
            self.notes().judged_by.insert(app.id, look.at.min(look.service_at));
        }
        let case = Case { judge: self, deployment: &deployment, app: &app, look };
        case.judge(transition).map_err(|why| {
            format!("{} ({}) ended as {}: {why}", deployment.id, deployment.kind, transition.to)
        })
    }

    /// After the last verdict: everything has ended once, and what is live is what the ledger says.
    pub(super) fn end(&self) {
        let events = self.ledger.events();
        for deployment in self.ledger.deployments() {
            let of_it = |event: &&DeploymentEvent| event.deployment_id == deployment.id;
            let ends = events.iter().filter(of_it).filter(|event| event.status.is_terminal());
            let (ends, last) = (ends.count(), events.iter().rfind(of_it).map(|event| event.status));
            if ends != 1 || last != Some(deployment.status) || !deployment.status.is_terminal() {
                self.object(format!("{} has {ends} ends, {last:?} last", deployment.id));
            }
            let went_wrong =
                matches!(deployment.status, Status::RolledBack | Status::Failed | Status::Stuck);
            if went_wrong && !self.ledger.has_evidence(deployment.id) {
                self.object(format!("{} {} without evidence", deployment.id, deployment.status));
            }
        }
        let mut used: BTreeMap<OrganizationId, Used> = BTreeMap::new();
        for app in self.ledger.apps() {
            if let Err(why) = self.lives(&app).and(self.keeps(&app)) {
                self.object(format!("at the end, {}: {why}", app.slug));
            }
            used.entry(app.organization_id).or_default().take(app.reserved);
        }
        for (organization, kept) in used {
            let used = self.ledger.used(organization);
            if used != kept {
                self.object(format!("{organization} uses {used:?}, and {kept:?} are kept"));
            }
        }
    }

    /// What is kept for an app is what its live release needs, and no more.
    fn keeps(&self, app: &App) -> Verdict {
        let live = app.live_release_id.and_then(|release| self.ledger.release(release));
        let need = match (live, app.live_replicas) {
            (Some(release), Some(replicas)) => Need::of(&release.spec.0, replicas),
            _ => Need::NONE,
        };
        ensure(app.reserved == need.reserved(), || {
            format!("{:?} are kept, and what is live needs {need:?}", app.reserved)
        })
    }

    fn lives(&self, app: &App) -> Verdict {
        // One that was withdrawn before a worker took it up says nothing of the swarm.
        let driven = |one: &Deployment| one.app_id == app.id && one.started_at.is_some();
        let ends = self.ledger.deployments().into_iter().filter(driven);
        let last = ends.max_by_key(|one| one.finished_at);
        let Some(last) = last.filter(|one| one.finished_at.is_some()) else { return Ok(()) };
        let is_repair = last.kind == Kind::Repair;
        if last.status == Status::Stuck || (is_repair && last.status == Status::Failed) {
            return Ok(());
        }
        let (meddled, judged_by) = {
            let notes = self.notes();
            (notes.meddled.get(&app.id).copied(), notes.judged_by.get(&app.id).copied())
        };
        // What somebody else did to it since the look that its last verdict went by stays.
        if meddled.is_some_and(|at| judged_by.is_none_or(|look| at >= look)) {
            return Ok(());
        }
        let found = self.swarm.snapshot(&app.service_name);
        if app.removed_at.is_some() {
            return ensure(found.is_none(), || "removed, and its service is there".into());
        }
        let Some(release) = app.live_release_id else {
            let none = found.is_none_or(|service| service.spec.replicas == 0);
            return ensure(none, || "nothing is live, and its service has replicas".into());
        };
        let service = found.ok_or("live, and its service is gone")?;
        let carried = service.spec.labels.get(names::LABEL_RELEASE);
        ensure(carried == Some(&release.to_string()), || {
            format!("{release} is live in the ledger, {carried:?} in the swarm")
        })?;
        ensure(Some(service.spec.replicas) == app.live_replicas, || {
            format!("{:?} replicas in the ledger, {}", app.live_replicas, service.spec.replicas)
        })
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One verdict before the judge.
struct Case<'a, L> {
    judge: &'a Judge<L>,
    deployment: &'a Deployment,
    app: &'a App,
    look: Option<Look>,
}

impl<L: StoryLedger> Case<'_, L> {
    fn judge(&self, transition: &Transition) -> Verdict {
        ensure(self.deployment.reason.is_some(), || "without a reason".into())?;
        let code = transition.reason.as_ref().map(|reason| reason.code);
        let is_blamed = code == Some(ReasonCode::ChangedOutside);
        ensure(!is_blamed || self.judge.notes().meddled.contains_key(&self.app.id), || {
            "blamed on somebody who was not there".into()
        })?;
        match (transition.to, &transition.live) {
            (Status::Superseded, _) => {
                ensure(self.deployment.superseded_by.is_some(), || "by nobody".into())
            }
            (Status::Succeeded, _) if self.deployment.kind == Kind::Remove => {
                ensure(self.service().is_none(), || "its service is there".into())
            }
            (Status::Succeeded, None) => Err("without saying what is live".into()),
            (Status::Succeeded | Status::RolledBack | Status::Canceled, Some(live)) => {
                self.lives(transition, live)
            }
            (Status::Failed, Some(live)) => self.is_in_place(live),
            // Somebody else was at the service all the while.
            (Status::Failed, None) if self.deployment.kind == Kind::Repair => Ok(()),
            (Status::Failed | Status::Canceled, None) => self.is_stopped_or_untouched(),
            (Status::RolledBack, None) => Err("to nothing".into()),
            (Status::Stuck, _) => ensure(self.had_nowhere_to_go(), || {
                let tasks = self.look.iter().flat_map(|look| &look.tasks);
                let tasks: Vec<_> =
                    tasks.map(|task| (task.slot, task.state, task.desired)).collect();
                format!("{}; {tasks:?}", self.deployment.reason.as_deref().unwrap_or_default())
            }),
            _ => Ok(()),
        }
    }

    /// Whether what was live does not live any more: a release that crashes after its window, or whose
    /// node was cut off in it so that nobody heard of its end, was found stable, and cannot be gone back to.
    fn had_nowhere_to_go(&self) -> bool {
        let release = self.app.live_release_id.and_then(|id| self.judge.ledger.release(id));
        release.is_some_and(|release| !GOOD.contains(&release.spec.0.image.as_str()))
    }

    fn service(&self) -> Option<&Service> {
        self.look.as_ref()?.service.as_ref()
    }

    /// A repair that failed: what should be live is there, and does not run.
    fn is_in_place(&self, live: &Live) -> Verdict {
        let service = self.service().ok_or("there is no service")?;
        ensure(self.deployment.kind == Kind::Repair, || "and something is live".into())?;
        ensure(service.label(names::LABEL_RELEASE) == Some(&*live.release.to_string()), || {
            format!("the service carries {:?}", service.label(names::LABEL_RELEASE))
        })?;
        ensure(service.replicas == live.replicas, || format!("{} replicas", service.replicas))
    }

    /// The service carries what is said to be live, and every replica of it ran through the window.
    fn lives(&self, transition: &Transition, live: &Live) -> Verdict {
        let look = self.look.as_ref().ok_or("it never looked")?;
        let service = look.service.as_ref().ok_or("there is no service")?;
        ensure(service.label(names::LABEL_RELEASE) == Some(&*live.release.to_string()), || {
            format!("the service carries {:?}", service.label(names::LABEL_RELEASE))
        })?;
        ensure(service.replicas == live.replicas, || format!("{} replicas", service.replicas))?;
        ensure(service.restart_counter == live.restart_counter, || "not restarted".into())?;
        let code = transition.reason.as_ref().map(|reason| reason.code);
        let is_wanted = self.deployment.release_id == Some(live.release);
        match transition.to {
            Status::Succeeded if code != Some(ReasonCode::Unchanged) => {
                ensure(is_wanted, || "with another release".into())?;
                ensure(live.replicas == self.deployment.replicas, || "not as many".into())?;
            }
            Status::RolledBack | Status::Canceled => {
                ensure(self.app.live_release_id == Some(live.release), || "to another".into())?;
            }
            _ => {}
        }
        let wanted: Vec<&Task> =
            look.tasks.iter().filter(|task| task.desired <= TaskState::Running).collect();
        let desired = usize::try_from(live.replicas).unwrap_or_default();
        ensure(wanted.len() == desired, || format!("{} tasks of {desired}", wanted.len()))?;
        let release = self.judge.ledger.release(live.release).ok_or("no such release")?;
        let window = match code {
            Some(ReasonCode::Unchanged) => 0,
            _ => release.spec.0.update_policy.monitor_seconds,
        };
        for task in wanted {
            let of_spec = task.spec_hash == service.spec_hash
                && task.restart_counter == service.restart_counter;
            ensure(of_spec, || format!("{} is of another spec", task.id))?;
            ensure(task.state == TaskState::Running, || format!("{} does not run", task.id))?;
            let since = self.judge.notes().running.get(&task.id).copied().unwrap_or(look.at);
            ensure(look.at - since >= TimeDelta::seconds(i64::from(window)), || {
                format!("{} ran for {} of {window} s", task.id, (look.at - since).num_seconds())
            })?;
        }
        Ok(())
    }

    /// Nothing of a deployment that came to nothing runs.
    fn is_stopped_or_untouched(&self) -> Verdict {
        let Some(service) = self.service() else { return Ok(()) };
        let look = self.look.as_ref().ok_or("it never looked")?;
        let stopped = service.replicas == 0 && look.tasks.iter().all(Task::is_over);
        let release = self.app.live_release_id.map(|id| id.to_string());
        let untouched = service.label(names::LABEL_RELEASE) == release.as_deref()
            && Some(service.replicas) == self.app.live_replicas;
        ensure(stopped || untouched, || format!("its service runs {} replicas", service.replicas))
    }
}
