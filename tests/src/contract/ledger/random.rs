//! Random histories: the same operations in the same order, told to either ledger, with everything
//! that can be seen after each of them. Ids differ between the two, so things are named by when they
//! were made.

mod look;

use std::time::Duration;

use anyhow::{Context, Result};
use db::deployments::DeploymentRequest;
use db::ledger::{Claim, Live, Marks};
use model::evidence::Evidence;
use model::id::{AppId, WorkerId};
use model::reason::{Reason, ReasonCode};
use model::release::RollbackTarget;
use model::status::Status;
use orchestrator::Ledger;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use self::look::Names;
use super::{Stage, spec};
use crate::pretend;

/// Once it leaves every lease as it is, twice it ends those that nobody renewed; in between there is
/// room for what the operations take on a real clock.
const SHORT: Duration = Duration::from_secs(6);
/// More than any lease.
const LONG: Duration = Duration::from_secs(60);

/// A history in progress.
struct History<'s, S> {
    stage: &'s S,
    rng: SmallRng,
    names: Names,
    /// One for each look into the queue, so that each has one lease to hand over.
    workers: Vec<WorkerId>,
    /// Every claim that was ever made.
    claims: Vec<Claim>,
}

/// Plays the history of a seed; each entry is an operation, its outcome and what is seen after it.
/// Leaves nothing unfinished, so that the next history begins with an empty queue.
pub async fn play(stage: &impl Stage, seed: u64, operations: usize) -> Result<Vec<String>> {
    let mut apps = Vec::new();
    for (number, slugs) in [["a", "b"].as_slice(), &["c"]].iter().enumerate() {
        let home = stage.organization(&format!("seed-{seed}-{number}")).await?;
        for slug in *slugs {
            apps.push(stage.app_create(home, slug, spec("web:v1"), 2).await?);
        }
    }
    let mut history = History {
        stage,
        rng: SmallRng::seed_from_u64(seed),
        names: Names::new(apps),
        workers: Vec::new(),
        claims: Vec::new(),
    };
    let mut told = Vec::new();
    for _ in 0..operations {
        let done = history.operation().await?;
        // Two operations at the same moment would have no order in memory, and have one in Postgres.
        stage.pass(Duration::from_millis(1)).await?;
        told.push(format!("{done}\n{}", history.names.look(stage, &history.workers).await?));
    }
    history.finish().await?;
    Ok(told)
}

impl<S: Stage> History<'_, S> {
    /// Does something, and says what came of it.
    async fn operation(&mut self) -> Result<String> {
        match self.rng.random_range(0..27) {
            0..6 => self.accept().await,
            6..9 => self.claim().await,
            9..14 => self.transition().await,
            14..17 => self.succeed().await,
            17 => self.mark().await,
            18 => self.renew().await,
            19 => self.resolve().await,
            20 => self.pass().await,
            21 => self.hand_over().await,
            22..25 => self.cancel().await,
            _ => self.update().await,
        }
    }

    fn app(&mut self) -> Result<AppId> {
        self.names.apps.choose(&mut self.rng).copied().context("no apps")
    }

    async fn accept(&mut self) -> Result<String> {
        let app = self.app()?;
        let force = self.rng.random_bool(0.2);
        let request = match self.rng.random_range(0..14) {
            0..4 => DeploymentRequest::Deploy { image: None, force },
            4 => DeploymentRequest::Deploy { image: Some("web:v2".into()), force },
            5 => {
                let target = [RollbackTarget::Previous, RollbackTarget::Stable];
                let target = *target.choose(&mut self.rng).context("no target")?;
                DeploymentRequest::Rollback { target, force }
            }
            6 => {
                let target = RollbackTarget::Number(self.rng.random_range(0..4));
                DeploymentRequest::Rollback { target, force }
            }
            7 | 8 => DeploymentRequest::Scale { replicas: self.rng.random_range(0..4) },
            9 => DeploymentRequest::Restart,
            10 | 11 => DeploymentRequest::Stop { why: None },
            12 => DeploymentRequest::Start,
            _ => DeploymentRequest::Remove,
        };
        let accepted = self.stage.accept(app, &request).await;
        let outcome = match accepted {
            Ok(id) => {
                self.names.accepted(id);
                self.names.of(id)
            }
            Err(error) => error.code.to_string(),
        };
        Ok(format!("{} accepts {request:?}: {outcome}", self.names.app(app)))
    }

    async fn cancel(&mut self) -> Result<String> {
        let app = self.app()?;
        let all = self.stage.deployments(app).await?;
        // One of the newest three: older ones have ended long ago.
        let newest = all.get(all.len().saturating_sub(3)..).unwrap_or_default();
        let Some(id) = newest.choose(&mut self.rng).map(|one| one.id) else {
            return Ok("nothing to cancel".into());
        };
        let canceled = self.stage.cancel(app, id).await.map_err(|error| error.code);
        Ok(format!("{} is canceled: {canceled:?}", self.names.of(id)))
    }

    async fn update(&mut self) -> Result<String> {
        let (app, replicas) = (self.app()?, self.rng.random_range(0..4));
        let updated = self.stage.app_update(app, spec("web:v3"), replicas).await;
        let updated = updated.map_err(|error| error.code);
        Ok(format!("{} shall have {replicas} replicas: {updated:?}", self.names.app(app)))
    }

    async fn claim(&mut self) -> Result<String> {
        let worker = WorkerId::new();
        self.workers.push(worker);
        let claim = self.stage.ledger().claim_next(worker).await?;
        self.claims.extend(claim);
        let got = claim.map(|claim| self.names.claim(claim));
        Ok(format!("worker {} claims: {got:?}", self.workers.len() - 1))
    }

    /// A whole deployment at once, or few histories would get to what comes after one.
    async fn succeed(&mut self) -> Result<String> {
        let (worker, ledger) = (WorkerId::new(), self.stage.ledger());
        self.workers.push(worker);
        let Some(claim) = ledger.claim_next(worker).await? else { return Ok("all driven".into()) };
        self.claims.push(claim);
        let work = ledger.work(claim.deployment).await?;
        if let Some(release) = &work.release {
            ledger.resolve(release.id, &pretend::image_id(&release.spec.0.image)).await?;
        }
        let mut end = pretend::success(&work);
        if self.rng.random_bool(0.2) {
            end.reason = Some(Reason::new(ReasonCode::Unchanged, "it was live already"));
        }
        let made = ledger.transition(claim, work.deployment.status, &end).await;
        let made = made.map_err(|error| error.code);
        Ok(format!("{} comes to what it was asked for: {made:?}", self.names.claim(claim)))
    }

    /// One of all claims, of which the newest are the likeliest to be somebody's still.
    fn any_claim(&mut self) -> Option<Claim> {
        let newest = self.claims.len().checked_sub(1)?;
        let back = self.rng.random_range(0..4).min(self.rng.random_range(0..4)).min(newest);
        self.claims.get(newest - back).copied()
    }

    async fn transition(&mut self) -> Result<String> {
        let Some(claim) = self.any_claim() else { return Ok("no claim".into()) };
        let work = self.stage.ledger().work(claim.deployment).await?;
        let from = match self.rng.random_bool(0.9) {
            true => work.deployment.status,
            false => *Status::ALL.choose(&mut self.rng).context("no status")?,
        };
        let next = if self.rng.random_bool(0.9) { from.next() } else { Status::ALL };
        let Some(to) = next.choose(&mut self.rng) else { return Ok(format!("{from} is an end")) };
        let because = self.rng.random_bool(0.9).then_some(ReasonCode::Exited);
        let mut step = pretend::transition(*to, because);
        step.marks = self.any_marks();
        if self.rng.random_bool(0.3) {
            step.evidence = Some(Evidence { stage: from.to_string(), ..Evidence::default() });
        }
        let known = [work.release, work.live];
        let release = known.choose(&mut self.rng).and_then(Option::as_ref);
        if let Some(release) = release
            && self.rng.random_bool(0.7)
        {
            let (restart_counter, replicas) =
                (work.deployment.restart_counter, self.rng.random_range(0..3));
            step.live = Some(Live {
                release: release.id,
                restart_counter,
                replicas,
                fingerprint: pretend::fingerprint(7),
            });
        }
        let made = self.stage.ledger().transition(claim, from, &step).await;
        let made = made.map_err(|error| error.code);
        Ok(format!("{} goes from {from} to {to}: {made:?}", self.names.claim(claim)))
    }

    fn any_marks(&mut self) -> Marks {
        Marks {
            applied: self.rng.random_bool(0.3),
            progressed: self.rng.random_bool(0.3),
            healthy: [None, Some(true), Some(false)].choose(&mut self.rng).copied().flatten(),
        }
    }

    async fn mark(&mut self) -> Result<String> {
        let Some(claim) = self.any_claim() else { return Ok("no claim".into()) };
        let marks = self.any_marks();
        let made = self.stage.ledger().mark(claim, marks).await?;
        Ok(format!("{} marks {marks:?}: {made}", self.names.claim(claim)))
    }

    async fn renew(&mut self) -> Result<String> {
        let Some(claim) = self.any_claim() else { return Ok("no claim".into()) };
        let renewed = self.stage.ledger().renew(claim).await?;
        Ok(format!("{} renews: {renewed}", self.names.claim(claim)))
    }

    async fn resolve(&mut self) -> Result<String> {
        let app = self.app()?;
        let releases = self.stage.releases(app).await?;
        let Some(release) = releases.choose(&mut self.rng) else { return Ok("no release".into()) };
        let image = format!("sha256:{}", self.rng.random_range(0..100));
        let resolved = self.stage.ledger().resolve(release.id, &image).await?.resolved_image;
        Ok(format!("{} v{}: {resolved:?}", self.names.app(app), release.number))
    }

    async fn pass(&mut self) -> Result<String> {
        let time = if self.rng.random_bool(0.5) { SHORT } else { LONG };
        self.stage.pass(time).await?;
        Ok(format!("{time:?} pass"))
    }

    async fn hand_over(&mut self) -> Result<String> {
        let Some(worker) = self.workers.choose(&mut self.rng) else { return Ok("nobody".into()) };
        let count = self.stage.ledger().hand_over(*worker).await?;
        let number = self.workers.iter().position(|one| one == worker);
        Ok(format!("worker {number:?} hands over {count}"))
    }

    /// Whatever is still on its way fails.
    async fn finish(&mut self) -> Result<()> {
        self.stage.pass(LONG).await?;
        while let Some(claim) = self.stage.ledger().claim_next(WorkerId::new()).await? {
            let from = self.stage.ledger().work(claim.deployment).await?.deployment.status;
            let end = pretend::transition(Status::Failed, Some(ReasonCode::Exited));
            pretend::go(self.stage.ledger(), claim, from, end).await?;
        }
        self.stage.wakeups().await.map(drop)
    }
}
