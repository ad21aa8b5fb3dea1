//! Slowing down: what is done about an app whose tasks keep ending, as `pace` decides. A service is
//! written here outside of any deployment, and only its number of replicas: at the version that was looked
//! at, so that a deployment or a human who was faster wins. The new version is written down after it; a
//! worker that dies between the two leaves one that is adopted.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use db::crash_loops::{Round, crash_loop_begin, crash_loop_forget, crash_loop_recovered};
use db::live::{LiveApp, live_version_set, live_work};
use model::crash_loop::{CrashLoop, pause};
use model::drift::DriftKind;
use model::id::DeploymentId;
use model::names;

use super::pace::{self, Pace, pace as pace_of};
use super::{Failure, Live};
use crate::deployment::why_it_ended;
use crate::render::{self, Rendering};
use crate::surroundings::surroundings;
use crate::swarm::{Service, Swarm, SwarmError, Task};
use crate::wakeups::Relay;

/// What became of an app's pace.
#[derive(Default)]
pub(super) struct Kept {
    /// Its crash loop, as it is now.
    pub(super) crash_loop: Option<CrashLoop>,
    /// What it crashes of; `None`: it does not.
    pub(super) crashes: Option<String>,
    /// Whether its service was written.
    pub(super) is_written: bool,
}

impl<S: Swarm, R: Relay> Live<S, R> {
    /// Slows an app down whose tasks keep ending, and tries it again.
    pub(super) async fn keep_pace(
        &self,
        app: &LiveApp,
        service: &Service,
        tasks: &[Task],
        now: DateTime<Utc>,
    ) -> Result<Kept, Failure> {
        let writer = service.label(names::LABEL_DEPLOYMENT).and_then(|id| id.parse().ok());
        let (Some(desired), Some(writer)) = (app.replicas, writer) else {
            return Ok(Kept::default());
        };
        let before = app.crash_loop().filter(|known| known.deployment_id == writer);
        if app.unfinished {
            // What it will do is not known yet; until then the app is as it was.
            let crashes = before.as_ref().and_then(|known| describe(known, now));
            return Ok(Kept { crashes, crash_loop: before, is_written: false });
        }
        if before.is_none() && app.crash_loop().is_some() {
            // A deployment has begun anew.
            crash_loop_forget(&self.database, app.id).await?;
        }
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
                match self.slow_down(app, writer, (kept, round), culprit).await? {
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
        deployment: DeploymentId,
        (kept, number): (i32, i16),
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
            deployment,
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
        let platform = &self.platform.name;
        let around = match surroundings(&*self.swarm, platform, &network, &release).await {
            Ok(around) => around,
            // One app's trouble: the others are looked at all the same.
            Err(error) => {
                tracing::warn!(app = %app.id, %error, "not rescaled; tried again");
                return Ok(false);
            }
        };
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
        // Another worker version, probe or setting would replace the tasks that run well. That is for a
        // deployment to do: an app must not stay slowed down for it.
        if service.spec_hash.as_ref() != Some(&spec.spec_hash) {
            if replicas > service.replicas {
                let why = "it was slowed down, and is rendered otherwise today";
                self.drifted(app, DriftKind::Changed, why).await?;
            }
            return Ok(false);
        }
        match self.swarm.service_update(&service.id, service.version, &spec).await {
            Ok(()) => {}
            // Somebody else was faster.
            Err(SwarmError::OutOfSequence | SwarmError::NotFound(_)) => return Ok(false),
            Err(error) => {
                tracing::warn!(app = %app.id, %error, "not rescaled; tried again");
                return Ok(false);
            }
        }
        if let Some(written) = self.swarm.service(&app.service_name).await?
            && written.replicas == replicas
        {
            let now = written.fingerprint();
            live_version_set(&self.database, app.id, app.version, &now).await?;
        }
        Ok(true)
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
