//! The drive: observe, plan, act, transition, until the verdict; under a lease, and ready to be
//! interrupted anywhere. Whoever claims the deployment next observes and goes on from there.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use db::ledger::{Claim, Marks, Transition};
use db::work::Work;
use model::Error;
use model::deployment::{Deployment, Kind};
use model::evidence::Evidence;
use model::platform::Platform;
use model::reason::{Reason, ReasonCode};
use model::status::Status;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::act::{Acted, Actor};
use super::evidence;
use super::leased::Leased;
use super::observation::{Memory, Observation};
use super::plan::{Step, applied, plan};
use super::target::untouched;
use super::verdict::{failing, giving_up, going_back};
use crate::lease::Lease;
use crate::ledger::Ledger;
use crate::surroundings::Known;
use crate::swarm::{Service, Swarm, SwarmError, Task};
use crate::vault::Vault;

/// First pause after a failure of Postgres or Swarm; it doubles.
const AGAIN: Duration = Duration::from_millis(100);
/// And grows no longer than this: an outage of a second should cost about a second.
const LONGEST: Duration = Duration::from_secs(2);

/// How a drive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drove {
    /// With a verdict.
    Ended(Status),
    /// This worker stops; another one goes on.
    HandedOver,
    /// The claim is another worker's by now.
    Lost,
}

/// Drives claimed deployments.
pub struct Driver<S, L> {
    ledger: L,
    swarm: Arc<S>,
    platform: Arc<Platform>,
    known: Arc<Known>,
    vault: Arc<dyn Vault>,
}

impl<S: Swarm, L: Ledger> Driver<S, L> {
    /// One that has made sure of nothing yet.
    pub fn new(ledger: L, swarm: Arc<S>, platform: Arc<Platform>, vault: Arc<dyn Vault>) -> Self {
        Self { ledger, swarm, platform, known: Arc::default(), vault }
    }

    /// Drives one claim to its end. `claimed_at`: before the claim was sent.
    pub async fn drive(
        &self,
        claim: Claim,
        claimed_at: Instant,
        stop: &CancellationToken,
    ) -> Drove {
        let lease = Lease::hold(self.ledger.clone(), claim, claimed_at);
        let swarm = Leased::new(Arc::clone(&self.swarm), lease.left().clone());
        let mut drive = Drive {
            claim,
            lease,
            actor: Actor {
                ledger: self.ledger.clone(),
                swarm,
                known: Arc::clone(&self.known),
                platform: Arc::clone(&self.platform),
                vault: Arc::clone(&self.vault),
            },
            memory: Memory::default(),
            failures: 0,
        };
        let mut work = None;
        while !stop.is_cancelled() {
            match drive.step(&mut work).await {
                Ok(Progress::Look) => {}
                Ok(Progress::Wait(pause)) => {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = sleep(pause) => {}
                    }
                }
                Ok(Progress::Over(drove)) => return drove,
                Err(error) => {
                    // Without the ledger nobody acts on what is seen: that time is no release's fault either.
                    drive.memory.lose_sight();
                    let pause = drive.complain(&error.chain());
                    sleep(pause).await;
                }
            }
        }
        Drove::HandedOver
    }
}

/// What a step came to.
enum Progress {
    /// Look again at once.
    Look,
    /// Look again after this.
    Wait(Duration),
    /// It is over.
    Over(Drove),
}

/// What of a look is needed when an act comes back: the look itself borrows what the driver
/// remembers.
struct Looked {
    deployment: Deployment,
    now: DateTime<Utc>,
    /// Whether the service is as the last verdict left it.
    untouched: bool,
    evidence: Evidence,
}

impl Looked {
    fn of(work: &Work, seen: Observation<'_>) -> Self {
        Self {
            untouched: untouched(work, &seen),
            evidence: evidence::of_look(&seen),
            now: seen.now,
            deployment: seen.deployment,
        }
    }
}

/// One claim being driven.
struct Drive<S, L> {
    claim: Claim,
    lease: Lease,
    actor: Actor<S, L>,
    memory: Memory,
    /// Failures of Postgres or Swarm since something last worked.
    failures: u32,
}

impl<S: Swarm, L: Ledger> Drive<S, L> {
    async fn step(&mut self, work: &mut Option<Work>) -> Result<Progress, Error> {
        if !self.lease.left().allows_a_call() {
            return self.without_lease().await;
        }
        let ledger = &self.actor.ledger;
        let (work, read) = match work {
            Some(work) => (work, ledger.read(self.claim).await),
            None => {
                let (found, read) =
                    tokio::join!(ledger.work(self.claim.deployment), ledger.read(self.claim));
                (work.insert(found?), read)
            }
        };
        let Some((deployment, now)) = read? else {
            return Ok(Progress::Over(Drove::Lost));
        };
        if deployment.status.is_terminal() {
            return Ok(Progress::Over(Drove::Ended(deployment.status)));
        }
        let (seen, ahead) = tokio::join!(
            self.look(&work.app.service_name),
            self.actor.look_ahead(work, &deployment)
        );
        let (service, tasks) = match seen {
            Ok(seen) => seen,
            Err(error) => {
                self.memory.lose_sight();
                return Ok(Progress::Wait(self.complain(&error.to_string())));
            }
        };
        self.memory.note(&tasks, now);
        self.memory.note_update(deployment.status, service.as_ref(), now);
        let seen = Observation { deployment, now, service, tasks, memory: &self.memory };
        let step = plan(work, &seen);
        if !matches!(step, Step::Wait(_)) {
            tracing::debug!(deployment = %seen.deployment.id, ?step, "next");
        }
        match step {
            Step::Wait(pause) => Ok(Progress::Wait(pause)),
            Step::Mark(marks) => {
                let watched = seen.running_ids();
                self.memory.most_running = self.memory.most_running.max(watched.len());
                let progress = self.mark(marks).await?;
                // Only now: a window that could not be written down would be measured from the
                // moment that another driver wrote.
                self.memory.begin_window(marks, watched);
                Ok(progress)
            }
            Step::Go(transition) => {
                let from = seen.deployment.status;
                let (marks, watched) = (transition.marks, seen.running_ids());
                let progress = self.transition(from, transition).await?;
                self.memory.begin_window(marks, watched);
                Ok(progress)
            }
            Step::GoBack(blame) => {
                let transition = going_back(&self.actor, work, &seen, &blame).await;
                let from = seen.deployment.status;
                self.memory.most_running = 0;
                self.transition(from, transition).await
            }
            Step::Fail(blame) => {
                let transition = failing(&self.actor, work, &seen, &blame).await;
                let from = seen.deployment.status;
                self.transition(from, transition).await
            }
            Step::GiveUp(blame) => {
                let transition = giving_up(&self.actor, work, &seen, &blame).await;
                let from = seen.deployment.status;
                self.transition(from, transition).await
            }
            Step::Apply(target) => {
                let acted = self.actor.apply(work, &target, &seen, ahead).await;
                let before: Vec<String> = seen.tasks.iter().map(|task| task.id.clone()).collect();
                let looked = Looked::of(work, seen);
                if matches!(acted, Acted::Applied)
                    && looked.deployment.status != Status::RollingBack
                {
                    self.memory.remember_before(before);
                }
                self.settle(work, looked, acted).await
            }
            Step::RemoveService => {
                let acted = self.actor.remove_service(work, &seen).await;
                let looked = Looked::of(work, seen);
                self.memory.undrainable = false;
                self.settle(work, looked, acted).await
            }
            Step::ResolveImage => {
                let looked = Looked::of(work, seen);
                let acted = self.actor.resolve(work).await?;
                self.settle(work, looked, acted).await
            }
        }
    }

    /// Both at once. Where Swarm has stopped a rollout or takes it back, the tasks that it failed by are asked for
    /// once more: those of before may not tell of them yet, and a verdict's cause is sought in this look alone.
    async fn look(&self, service: &str) -> Result<(Option<Service>, Vec<Task>), SwarmError> {
        let swarm = &self.actor.swarm;
        let (found, tasks) = tokio::try_join!(swarm.service(service), swarm.tasks(service))?;
        let Some(found) = found else { return Ok((None, Vec::new())) };
        let has_failed =
            found.update.as_ref().is_some_and(|update| update.state.is_of_failed_tasks());
        let tasks = if has_failed { swarm.tasks(&found.id).await? } else { tasks };
        Ok((Some(found), tasks))
    }

    /// Too little of the lease is left for a call: its renewal decides.
    async fn without_lease(&self) -> Result<Progress, Error> {
        Ok(match self.actor.ledger.read(self.claim).await? {
            Some(_) => Progress::Wait(AGAIN),
            None => Progress::Over(Drove::Lost),
        })
    }

    /// Goes on from what an act came to.
    async fn settle(
        &mut self,
        work: &Work,
        looked: Looked,
        acted: Acted,
    ) -> Result<Progress, Error> {
        let Looked { deployment, now, untouched, evidence } = looked;
        // Of a call without an answer it is not known whether it was carried out.
        let is_resolved =
            work.release.as_ref().is_some_and(|release| release.resolved_image.is_some());
        let untouched = untouched && !(is_resolved && matches!(acted, Acted::NotNow(_)));
        match within_deadline(work, &deployment, now, acted) {
            Acted::Done => {
                self.failures = 0;
                Ok(Progress::Look)
            }
            Acted::NotNow(why) => Ok(Progress::Wait(self.complain(&why))),
            Acted::Applied => match (deployment.status, applied("Swarm has the spec")) {
                (Status::Provisioning, Step::Go(transition)) => {
                    self.transition(Status::Provisioning, transition).await
                }
                _ => {
                    let marks = Marks { applied: true, healthy: Some(false), ..Marks::default() };
                    self.mark(marks).await
                }
            },
            Acted::Impossible(reason)
                if deployment.kind == Kind::Remove && !self.memory.undrainable =>
            {
                // What cannot be scaled to zero first is removed with its tasks running.
                tracing::warn!(deployment = %deployment.id, why = reason.sentence, "removed undrained");
                self.memory.undrainable = true;
                Ok(Progress::Look)
            }
            Acted::Impossible(reason) => {
                let to = match (deployment.status, deployment.kind) {
                    (_, Kind::Remove) => Status::Stuck,
                    // The rollout that this one superseded may be half done: it is not left so.
                    (Status::Provisioning, _) if untouched => Status::Failed,
                    // What it should bring back is all that there is to go back to.
                    (_, Kind::Repair) => Status::Failed,
                    (Status::RollingBack, _) => Status::Stuck,
                    _ => Status::RollingBack,
                };
                // What made it go back tells more than this look does.
                let goes_back = deployment.status == Status::RollingBack;
                let transition = Transition {
                    to,
                    message: reason.sentence.clone(),
                    reason: Some(reason),
                    marks: Marks { progressed: true, healthy: Some(false), ..Marks::default() },
                    evidence: (!goes_back).then_some(evidence),
                    live: None,
                };
                self.transition(deployment.status, transition).await
            }
        }
    }

    async fn transition(
        &mut self,
        from: Status,
        mut transition: Transition,
    ) -> Result<Progress, Error> {
        if transition.evidence.is_none() {
            transition.evidence = self.memory.evidence_of_end(transition.to);
        }
        if !self.actor.ledger.transition(self.claim, from, &transition).await? {
            // The next look tells whether the claim is lost, or only what it was decided upon.
            return Ok(Progress::Look);
        }
        self.failures = 0;
        if transition.evidence.is_some() {
            self.memory.evidence = transition.evidence;
        }
        tracing::info!(
            deployment = %self.claim.deployment,
            from = %from,
            to = %transition.to,
            message = transition.message,
            "transition"
        );
        Ok(if transition.to.is_terminal() {
            Progress::Over(Drove::Ended(transition.to))
        } else {
            Progress::Look
        })
    }

    async fn mark(&self, marks: Marks) -> Result<Progress, Error> {
        Ok(if self.actor.ledger.mark(self.claim, marks).await? {
            Progress::Look
        } else {
            Progress::Over(Drove::Lost)
        })
    }

    /// Says what is wrong, and returns how long to wait before trying again: longer and longer, and
    /// said less and less often, so that a daemon that is down fills no log.
    fn complain(&mut self, why: &str) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_power_of_two() {
            let (deployment, failures) = (self.claim.deployment, self.failures);
            tracing::warn!(%deployment, failures, why, "not now; tried again");
        }
        AGAIN.saturating_mul(1 << self.failures.min(8)).min(LONGEST)
    }
}

/// What cannot be done now is tried again until a deadline: a registry may be as slow as a pull,
/// everything else as long as a deployment may go without progress.
fn within_deadline(
    work: &Work,
    deployment: &Deployment,
    now: DateTime<Utc>,
    acted: Acted,
) -> Acted {
    let (Acted::NotNow(why), Some(release)) = (&acted, &work.release) else { return acted };
    let deadlines = release.spec.0.deadlines;
    let (code, limit) = match release.resolved_image {
        None => (ReasonCode::RegistryUnavailable, deadlines.pull_seconds),
        Some(_) => (ReasonCode::ProgressDeadline, deadlines.progress_seconds),
    };
    let waited = now - deployment.started_at.unwrap_or(now);
    if deployment.status != Status::Provisioning || waited.num_seconds() < i64::from(limit) {
        return acted;
    }
    Acted::Impossible(Reason::new(code, format!("given up after {limit} s: {why}")))
}
