//! Slowing down: what is done about an app whose tasks keep ending, as `pace` decides. A service is
//! written here outside of any deployment, and only its number of replicas: at the version that was looked
//! at, so that a deployment or a human who was faster wins. The new version is written down after it; a
//! worker that dies between the two leaves one that is adopted.
//!
//! A service that is not at the version that we left it at is not written at all, nor one whose app's newest
//! deployment is stuck: somebody else is at work on it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use db::crash_loops::{Round, crash_loop_begin, crash_loop_forget, crash_loop_recovered};
use db::live::{LiveApp, live_version_set, live_work};
use model::crash_loop::{CrashLoop, pause};
use model::drift::DriftKind;
use model::id::DeploymentId;
use model::names;
use model::status::Status;

use super::pace::{self, Pace, pace as pace_of};
use super::{Failure, Live};
use crate::deployment::why_it_ended;
use crate::render::{self, Rendering};
use crate::surroundings::{Known, Mounting, surroundings};
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
        let writer: Option<DeploymentId> =
            service.label(names::LABEL_DEPLOYMENT).and_then(|id| id.parse().ok());
        let (Some(desired), Some(writer)) = (app.replicas, writer) else {
            return Ok(Kept::default());
        };
        let (before, overtaken) = match app.crash_loop() {
            Some(known) if known.deployment_id == writer => (Some(known), None),
            other => (None, other),
        };
        let told = |known: &CrashLoop, replicas| describe(known, replicas == known.kept, now);
        let was = before.as_ref().and_then(|known| told(known, service.replicas));
        if app.unfinished {
            // What it will do is not known yet; until then the app is as it was.
            return Ok(Kept { crashes: was, crash_loop: before, is_written: false });
        }
        let window = TimeDelta::seconds(app.window_seconds.unwrap_or_default().into());
        let seen = pace::Seen { now, service, tasks, desired, window };
        let pace = pace_of(&seen, before.as_ref());
        let crashes = match &pace {
            Pace::Crashing { culprit } | Pace::Slow { culprit, .. } => Some(format!(
                "replica {} keeps ending: {}",
                culprit.slot,
                culprit.error.as_deref().unwrap_or("it says no error")
            )),
            _ => None,
        };
        // What somebody else wrote is compared first: slowing that down would hide it.
        let is_ours = app.version == Some(service.version_for_the_record())
            && app.newest != Some(Status::Stuck);
        if !is_ours {
            return Ok(Kept { crashes: was.or(crashes), crash_loop: before, is_written: false });
        }
        if let Some(overtaken) = overtaken {
            // A deployment has begun anew.
            crash_loop_forget(&self.database, &overtaken).await?;
        }
        let (crash_loop, replicas) = match (pace, before) {
            (Pace::Hold, Some(known)) => {
                let kept = known.kept;
                (Some(known), kept)
            }
            (Pace::Resume, before) => (before, desired),
            (Pace::Slow { kept, round, culprit }, before) => {
                match self.slow_down(app, writer, (kept, round), culprit).await? {
                    Some(begun) => (Some(begun), kept),
                    None => (before, service.replicas),
                }
            }
            (Pace::Recovered, Some(known)) => {
                crash_loop_recovered(&self.database, &known).await?;
                tracing::info!(app = %app.id, rounds = known.rounds, "recovered from a crash loop");
                (Some(CrashLoop { recovered_at: Some(now), ..known }), service.replicas)
            }
            (Pace::Forget, Some(known)) => {
                crash_loop_forget(&self.database, &known).await?;
                (None, service.replicas)
            }
            (_, before) => (before, service.replicas),
        };
        let is_written =
            replicas != service.replicas && self.rewrite(app, service, writer, replicas).await?;
        let replicas = if is_written { replicas } else { service.replicas };
        let described = crash_loop.as_ref().and_then(|known| told(known, replicas));
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
            tracing::warn!(app = %app.id, round = number, kept, cause, "in a crash loop");
        }
        Ok(begun)
    }

    /// Gives the service this number of replicas, and what its image's registry is shown today, and leaves everything else as it is.
    /// False: it was not written.
    pub(super) async fn rewrite(
        &self,
        app: &LiveApp,
        service: &Service,
        deployment: DeploymentId,
        replicas: i32,
    ) -> Result<bool, Failure> {
        let Some((row, release, network)) = live_work(&self.database, app.id).await? else {
            return Ok(false);
        };
        let Some(image) = &release.resolved_image else { return Ok(false) };
        let platform = &self.platform.name;
        // Nothing is remembered: this is seldom, and nobody would look again where Swarm refuses.
        let known = Known::default();
        let mounting = Mounting { release: &release, vault: &*self.vault, deployment };
        let around = match surroundings(&*self.swarm, &known, platform, &network, &mounting).await {
            Ok(around) => around,
            // One app's trouble: the others are looked at all the same.
            Err(error) => {
                tracing::warn!(app = %app.id, %error, "not written; tried again");
                return Ok(false);
            }
        };
        // It is there: it keeps its own where today's cannot be had.
        let Ok(login) = around.login(true) else { return Ok(false) };
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
            files: &around.files,
            login: &login,
            carried: service.label(names::LABEL_REGISTRY_LOGIN),
            has_workers: around.has_workers,
            // What is written here is the number of replicas and a login, and nothing else.
            going_back: service.pauses_on_failure,
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
                tracing::warn!(app = %app.id, %error, "not written; tried again");
                return Ok(false);
            }
        }
        tracing::info!(app = %app.id, replicas, "written outside of a deployment");
        if let Some(written) = self.swarm.service(&app.service_name).await?
            && is_rewritten(service, &written, replicas)
        {
            let now = written.fingerprint();
            live_version_set(&self.database, app.id, app.version, &now).await?;
        }
        Ok(true)
    }
}

/// Whether nothing but the number of replicas and the login was changed: somebody else may have written it since.
fn is_rewritten(before: &Service, written: &Service, replicas: i32) -> bool {
    let rest = |service: &Service| {
        let mut labels = service.labels.clone();
        labels.remove(names::LABEL_REGISTRY_LOGIN);
        let mut parts = service.fingerprint().parts;
        // Compared above, but for the one that may differ.
        parts.remove("Labels");
        (labels, parts, service.image.clone(), service.restart_counter)
    };
    written.replicas == replicas && rest(written) == rest(before)
}

/// The crash loop in a sentence; `None`: it is over. `is_slowed`: whether its service has the replicas that
/// are kept up, and no more.
fn describe(crash_loop: &CrashLoop, is_slowed: bool, now: DateTime<Utc>) -> Option<String> {
    if crash_loop.recovered_at.is_some() {
        return None;
    }
    let CrashLoop { cause, rounds, resumes_at, .. } = crash_loop;
    Some(match (*resumes_at > now, is_slowed) {
        (true, true) => {
            let at = resumes_at.to_rfc3339_opts(SecondsFormat::Secs, true);
            format!("{cause}; slowed down (round {rounds}): all replicas are tried again at {at}")
        }
        (true, false) => {
            format!("{cause}; not slowed down yet (round {rounds}), which is tried again")
        }
        (false, true) => {
            format!(
                "{cause}; slowed down (round {rounds}): all replicas are about to be tried again"
            )
        }
        (false, false) => {
            format!("{cause}; tried again after round {rounds}, and not yet believed")
        }
    })
}

#[cfg(test)]
mod tests {
    use model::id::{AppId, OrganizationId};

    use super::*;

    #[test]
    fn what_is_told_of_a_crash_loop_is_what_was_done() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let known = |seconds| CrashLoop {
            app_id: AppId::new(),
            organization_id: OrganizationId::new(),
            deployment_id: DeploymentId::new(),
            rounds: 2,
            kept: 1,
            resumes_at: now + TimeDelta::seconds(seconds),
            recovered_at: None,
            cause: "it exited".into(),
        };
        let told = |seconds, is_slowed| describe(&known(seconds), is_slowed, now).unwrap();
        assert_eq!(
            told(40, true),
            "it exited; slowed down (round 2): all replicas are tried again at 2027-01-15T08:00:40Z"
        );
        assert_eq!(
            told(40, false),
            "it exited; not slowed down yet (round 2), which is tried again"
        );
        assert_eq!(
            told(-1, true),
            "it exited; slowed down (round 2): all replicas are about to be tried again"
        );
        assert_eq!(told(-1, false), "it exited; tried again after round 2, and not yet believed");
        let recovered = CrashLoop { recovered_at: Some(now), ..known(-1) };
        assert_eq!(describe(&recovered, false, now), None);
    }
}
