//! What is done about an app that was looked at: its status, its pace, its drift. Everything that changes
//! Swarm here names the version that it was decided upon, so that a deployment or a human who was faster
//! wins; and everything can be done twice.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use db::crash_loops::{Round, crash_loop_begin, crash_loop_forget, crash_loop_recovered};
use db::deployments::deployment_repair;
use db::drift::{Finding, drift_found, drift_unknown_left};
use db::live::{LiveApp, environments_known, live_apps, live_version_set, live_work};
use model::crash_loop::{CrashLoop, pause};
use model::drift::{DriftKind, ObjectType, OnDrift};
use model::id::{AppId, EnvironmentId};
use model::names;

use super::difference::{Difference, difference};
use super::pace::{self, Pace, pace as pace_of};
use super::{Failure, Known, Live, Looked, app_of, status};
use crate::deployment::why_it_ended;
use crate::render::{self, Rendering};
use crate::surroundings::surroundings;
use crate::swarm::{Service, ServiceCount, Swarm, SwarmError, Task, TaskState};
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
        now: DateTime<Utc>,
    ) -> Result<Looked, Failure> {
        let Some(seen) = seen else {
            let is_settled = self.tend(app, None, 0).await?;
            let status = (!app.unfinished).then(|| status::of_nothing(app, now));
            return Ok(Looked { status, short_since: None, is_settled });
        };
        let service = &seen.service;
        let tasks = self.swarm.tasks(&service.id).await?;
        let Kept { crash_loop, crashes, is_written } =
            self.keep_pace(app, service, &tasks, now).await?;
        let expected = match &crash_loop {
            Some(slowed) if slowed.resumes_at > now => slowed.kept,
            _ => app.replicas.unwrap_or_default(),
        };
        // What was just written is looked at again before it is compared.
        let is_as_left = !is_written && self.tend(app, Some(service), expected).await?;
        let short_since = is_short(app, service, &tasks)
            .then(|| before.and_then(|known| known.short_since).unwrap_or(now));
        if short_since.is_some_and(|since| now - since > SHORT) && is_as_left {
            let sentence = format!(
                "Swarm keeps up fewer replicas of {} than the {} that it has",
                app.service_name, service.replicas
            );
            self.drifted(app, DriftKind::Short, &sentence).await?;
        }
        Ok(Looked {
            status: Some(status::of_service(app, service, &tasks, crashes, now)),
            is_settled: is_as_left
                && !app.unfinished
                && crash_loop.is_none()
                && short_since.is_none(),
            short_since,
        })
    }

    /// Slows an app down whose tasks keep ending, and tries it again.
    async fn keep_pace(
        &self,
        app: &LiveApp,
        service: &Service,
        tasks: &[Task],
        now: DateTime<Utc>,
    ) -> Result<Kept, Failure> {
        let before = app.crash_loop();
        let (Some(desired), false) = (app.replicas, app.unfinished) else {
            if before.is_some() {
                crash_loop_forget(&self.database, app.id).await?;
            }
            return Ok(Kept::default());
        };
        let window = TimeDelta::seconds(app.window_seconds.unwrap_or_default().into());
        let seen = pace::Seen { now, service, tasks, desired, window };
        // What somebody else wrote is compared first: slowing that down would hide it.
        let is_ours = app.version == Some(service.version_for_the_record());
        let pace = pace_of(&seen, before.as_ref());
        let crashes = match &pace {
            Pace::Crashing { culprit } | Pace::Slow { culprit, .. } => Some(format!(
                "replica {} keeps ending: {}",
                culprit.slot,
                culprit.error.as_deref().unwrap_or("it says no error")
            )),
            _ => None,
        };
        let (crash_loop, is_written) = match pace {
            Pace::Steady | Pace::Crashing { .. } | Pace::Trial => (before, false),
            Pace::Slow { .. } | Pace::Resume if !is_ours => (before, false),
            Pace::Hold => {
                let kept = before.as_ref().map_or(desired, |crash_loop| crash_loop.kept);
                let differs = is_ours && service.replicas != kept;
                (before, differs && self.rescale(app, service, kept).await?)
            }
            Pace::Resume => (before, self.rescale(app, service, desired).await?),
            Pace::Slow { kept, round, culprit } => {
                match self.slow_down(app, kept, round, culprit).await? {
                    Some(begun) => (Some(begun), self.rescale(app, service, kept).await?),
                    None => (before, false),
                }
            }
            Pace::Recovered => {
                let rounds = before.as_ref().map_or(1, |crash_loop| crash_loop.rounds);
                crash_loop_recovered(&self.database, app.id, rounds).await?;
                tracing::info!(app = %app.id, rounds, "recovered from a crash loop");
                (before.map(|known| CrashLoop { recovered_at: Some(now), ..known }), false)
            }
            Pace::Forget => {
                crash_loop_forget(&self.database, app.id).await?;
                (None, false)
            }
        };
        let described = crash_loop.as_ref().and_then(|crash_loop| describe(crash_loop, now));
        Ok(Kept { crashes: described.or(crashes), crash_loop, is_written })
    }

    async fn slow_down(
        &self,
        app: &LiveApp,
        kept: i32,
        number: i16,
        culprit: &Task,
    ) -> Result<Option<CrashLoop>, Failure> {
        let autopsy = self.swarm.autopsy(culprit).await;
        let cause = match live_work(&self.database, app.id).await? {
            Some((_, release, _)) => why_it_ended(&release, culprit, &autopsy).sentence,
            None => return Ok(None),
        };
        let round = Round {
            app: app.id,
            organization: app.organization_id,
            number,
            kept,
            pause: pause(number),
            cause: &cause,
        };
        let begun = crash_loop_begin(&self.database, round).await?;
        if begun.is_some() {
            tracing::warn!(app = %app.id, round = number, kept, cause, "in a crash loop: slowed down");
        }
        Ok(begun)
    }

    /// Gives the service another number of replicas and leaves everything else as it is. False: it was not
    /// written.
    async fn rescale(
        &self,
        app: &LiveApp,
        service: &Service,
        replicas: i32,
    ) -> Result<bool, Failure> {
        let deployment = service.label(names::LABEL_DEPLOYMENT).and_then(|id| id.parse().ok());
        let (Some((row, release, network)), Some(deployment)) =
            (live_work(&self.database, app.id).await?, deployment)
        else {
            return Ok(false);
        };
        let Some(image) = &release.resolved_image else { return Ok(false) };
        let around = surroundings(&*self.swarm, &self.platform.name, &network, &release).await?;
        let spec = render::service(&Rendering {
            platform: &self.platform,
            app: &row,
            release: &release,
            image,
            deployment,
            replicas,
            restart_counter: service.restart_counter,
            network: &around.network,
            probe: around.probe.as_ref(),
            has_workers: around.has_workers,
            going_back: false,
        });
        // Another worker version, probe or setting would replace the tasks that run well.
        if service.spec_hash.as_ref() != Some(&spec.spec_hash) {
            tracing::warn!(app = %app.id, "not rescaled: it would be rendered otherwise today");
            return Ok(false);
        }
        match self.swarm.service_update(&service.id, service.version, &spec).await {
            Ok(()) => {}
            // Somebody else was faster.
            Err(SwarmError::OutOfSequence | SwarmError::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if let Some(written) = self.swarm.service(&app.service_name).await?
            && written.replicas == replicas
        {
            let version = written.version_for_the_record();
            live_version_set(&self.database, app.id, app.version, version).await?;
        }
        Ok(true)
    }

    /// Compares a service with what the last verdict left. True: it is as it should be.
    async fn tend(
        &self,
        app: &LiveApp,
        service: Option<&Service>,
        expected: i32,
    ) -> Result<bool, Failure> {
        let version = service.map(Service::version_for_the_record);
        match (difference(app, service, expected), version) {
            (Difference::None, _) => Ok(!app.unfinished),
            (Difference::Wait, _) => Ok(false),
            (Difference::Adopt(told), Some(version)) => {
                let adopted =
                    live_version_set(&self.database, app.id, app.version, version).await?;
                if let (Some(sentence), true) = (told, adopted) {
                    self.tell(app, DriftKind::TakenBack, &sentence, true).await?;
                }
                Ok(false)
            }
            (Difference::Adopt(_), None) => Ok(false),
            (Difference::Drift(kind, sentence), _) => {
                self.drifted(app, kind, &sentence).await?;
                Ok(false)
            }
        }
    }

    /// Reports what is wrong with an app's service, and has it repaired where that is the setting.
    async fn drifted(&self, app: &LiveApp, kind: DriftKind, sentence: &str) -> Result<(), Failure> {
        self.tell(app, kind, sentence, false).await?;
        if self.platform.on_drift == OnDrift::Report {
            return Ok(());
        }
        let repair = deployment_repair(&self.database, app.id, app.version, sentence).await?;
        if let Some(deployment) = repair {
            self.relay.wake();
            let finding = Finding { deployment: Some(deployment), ..of(app, kind, sentence) };
            drift_found(&self.database, &finding).await?;
            tracing::warn!(app = %app.id, %deployment, sentence, "repaired");
        }
        Ok(())
    }

    async fn tell(
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

    /// Objects of this installation that nothing in Postgres knows are reported and left alone: an
    /// operator decides. The service of an app that was removed was made by a call that came too late: it
    /// is taken away.
    pub(super) async fn quarantine(&self, listed: &[ServiceCount]) -> Result<(), Failure> {
        let ids: Vec<AppId> = listed.iter().filter_map(app_of).collect();
        let rows: HashMap<AppId, LiveApp> =
            live_apps(&self.database, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
        let mut unknown = Vec::new();
        for one in listed {
            match app_of(one).and_then(|app| rows.get(&app)) {
                Some(row) if row.removed => self.take_away(row).await?,
                Some(_) => {}
                None => unknown.push(one.name.clone()),
            }
        }
        self.report_unknown(ObjectType::Service, &unknown).await?;
        let networks = self.swarm.networks(&self.platform.name).await?;
        let environment = |labels: &BTreeMap<String, String>| {
            labels.get(names::LABEL_ENVIRONMENT)?.parse::<EnvironmentId>().ok()
        };
        let named: Vec<EnvironmentId> =
            networks.iter().filter_map(|network| environment(&network.labels)).collect();
        let known = environments_known(&self.database, &named).await?;
        let unknown: Vec<String> = networks
            .into_iter()
            .filter(|network| environment(&network.labels).is_none_or(|id| !known.contains(&id)))
            .map(|network| network.name)
            .collect();
        self.report_unknown(ObjectType::Network, &unknown).await
    }

    async fn report_unknown(&self, what: ObjectType, names: &[String]) -> Result<(), Failure> {
        for name in names {
            let sentence = format!(
                "the {what} {name} is labelled {}={} and nothing in the database knows it: it is left \
                 alone; remove it by hand if it is nobody's",
                names::LABEL_PLATFORM,
                self.platform.name
            );
            let finding = Finding {
                kind: DriftKind::Unknown,
                object_type: what,
                object: name,
                app: None,
                sentence: &sentence,
                deployment: None,
                resolved: false,
            };
            if drift_found(&self.database, &finding).await? {
                tracing::warn!(object = name, sentence, "drift");
            }
        }
        drift_unknown_left(&self.database, what, names).await?;
        Ok(())
    }

    async fn take_away(&self, app: &LiveApp) -> Result<(), Failure> {
        self.swarm.service_remove(&app.service_name).await?;
        let sentence = format!(
            "the service {} of a removed app was there: a worker's late call had made it again; it was \
             taken away",
            app.service_name
        );
        self.tell(app, DriftKind::Orphan, &sentence, true).await
    }
}

/// What became of an app's pace.
#[derive(Default)]
struct Kept {
    /// Its crash loop, as it is now.
    crash_loop: Option<CrashLoop>,
    /// What it crashes of; `None`: it does not.
    crashes: Option<String>,
    /// Whether its service was written.
    is_written: bool,
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

/// The crash loop in a sentence; `None`: it is over.
fn describe(crash_loop: &CrashLoop, now: DateTime<Utc>) -> Option<String> {
    if crash_loop.recovered_at.is_some() {
        return None;
    }
    let CrashLoop { cause, rounds, resumes_at, .. } = crash_loop;
    Some(if *resumes_at > now {
        let at = resumes_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!("{cause}; slowed down (round {rounds}): all replicas are tried again at {at}")
    } else {
        format!("{cause}; tried again after round {rounds}, and not yet believed")
    })
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
