//! A worker's way to the ledger. Each verdict that is written is shown to the judge.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use db::ledger::{Claim, Marks, Transition};
use db::work::Work;
use model::app::App;
use model::deployment::Deployment;
use model::error::ErrorCode;
use model::id::{DeploymentId, ReleaseId, WorkerId};
use model::release::Release;
use model::status::Status;
use model::{Error, Result};
use orchestrator::Ledger;

use super::judge::Judge;
use super::life::{Goes, Life, Planted, To};
use super::story_ledger::StoryLedger;

/// The ledger, as far as this worker reaches it.
#[derive(Clone)]
pub(super) struct FaultyLedger<L> {
    pub(super) ledger: L,
    pub(super) life: Arc<Life>,
    pub(super) judge: Arc<Judge<L>>,
}

impl<L: StoryLedger> FaultyLedger<L> {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let goes = self.life.begin(To::Ledger).await;
        if goes == Goes::Unmade {
            return Err(unavailable());
        }
        if self.life.is_dead() {
            return self.life.end().await;
        }
        let answer = call.await;
        if let Err(error) = &answer {
            // Nothing here but the story's own faults is allowed to fail.
            self.judge.object(format!("the ledger failed: {}", error.chain()));
        }
        match goes {
            Goes::ThenDies => self.life.end().await,
            Goes::Unanswered => Err(unavailable()),
            _ => answer,
        }
    }

    fn app_of(&self, claim: Claim) -> Option<App> {
        self.ledger.app(self.ledger.deployment(claim.deployment)?.app_id)
    }

    /// The claim as the ledger gets it.
    fn shown(&self, claim: Claim) -> Claim {
        if self.life.planted != Some(Planted::NoFence) {
            return claim;
        }
        let newest = self.ledger.deployment(claim.deployment);
        newest.map_or(claim, |deployment| Claim { fence: deployment.fence, ..claim })
    }
}

fn unavailable() -> Error {
    Error::new(ErrorCode::Unavailable, "the connection was cut")
}

impl<L: StoryLedger> Ledger for FaultyLedger<L> {
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Claim>> {
        self.call(async {
            let claim = self.ledger.claim_next(worker).await?;
            if claim.is_some() {
                self.judge.claimed();
            }
            Ok(claim)
        })
        .await
    }

    async fn renew(&self, claim: Claim) -> Result<bool> {
        self.call(async { self.ledger.renew(self.shown(claim)).await }).await
    }

    async fn hand_over(&self, worker: WorkerId) -> Result<usize> {
        self.call(self.ledger.hand_over(worker)).await
    }

    async fn read(&self, claim: Claim) -> Result<Option<(Deployment, DateTime<Utc>)>> {
        self.call(async { self.ledger.read(self.shown(claim)).await }).await
    }

    async fn work(&self, deployment: DeploymentId) -> Result<Work> {
        self.call(self.ledger.work(deployment)).await
    }

    async fn resolve(&self, release: ReleaseId, image: &str) -> Result<Release> {
        self.call(self.ledger.resolve(release, image)).await
    }

    async fn transition(
        &self,
        claim: Claim,
        from: Status,
        transition: &Transition,
    ) -> Result<bool> {
        self.call(async {
            let is_verdict = transition.to.is_terminal();
            let before = is_verdict.then(|| self.app_of(claim)).flatten();
            let made = self.ledger.transition(self.shown(claim), from, transition).await?;
            if made && is_verdict {
                let judged = self.judge.verdict(self.life.worker, claim, before, transition);
                judged.unwrap_or_else(|why| self.judge.object(why));
            }
            Ok(made)
        })
        .await
    }

    async fn mark(&self, claim: Claim, marks: Marks) -> Result<bool> {
        self.call(async { self.ledger.mark(self.shown(claim), marks).await }).await
    }
}
