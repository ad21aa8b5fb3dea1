//! A worker's way to the ledger. Each verdict that is written is shown to the judge.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use db::ledger::{Claim, Marks, Transition};
use db::work::Work;
use model::deployment::Deployment;
use model::error::ErrorCode;
use model::id::{DeploymentId, ReleaseId, WorkerId};
use model::release::Release;
use model::status::Status;
use model::{Error, Result};
use orchestrator::Ledger;

use super::judge::Judge;
use super::life::{Goes, Life, Planted, To};
use crate::twin::ledger::MemoryLedger;

/// The ledger, as far as this worker reaches it.
#[derive(Clone)]
pub(super) struct FaultyLedger {
    pub(super) ledger: MemoryLedger,
    pub(super) life: Arc<Life>,
    pub(super) judge: Arc<Judge>,
}

impl FaultyLedger {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let goes = self.life.begin(To::Ledger).await;
        if goes == Goes::Unmade {
            return Err(unavailable());
        }
        if self.life.is_dead() {
            return self.life.end().await;
        }
        let answer = call.await;
        match goes {
            Goes::ThenDies => self.life.end().await,
            Goes::Unanswered => Err(unavailable()),
            _ => answer,
        }
    }

    /// The claim as the ledger gets it.
    fn shown(&self, claim: Claim) -> Claim {
        match (self.life.planted, self.ledger.deployment(claim.deployment)) {
            (Some(Planted::NoFence), Some(deployment)) => {
                Claim { fence: deployment.fence, ..claim }
            }
            _ => claim,
        }
    }
}

fn unavailable() -> Error {
    Error::new(ErrorCode::Unavailable, "the connection was cut")
}

impl Ledger for FaultyLedger {
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Claim>> {
        self.call(async {
            let claim = self.ledger.claim_next(worker).await?;
            self.judge.claimed();
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
            let app = self.ledger.deployment(claim.deployment).map(|one| one.app_id);
            let before = app.and_then(|app| self.ledger.app(app));
            let made = self.ledger.transition(self.shown(claim), from, transition).await?;
            if made && transition.to.is_terminal() {
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
