//! Verdicts without a Swarm: a worker's steps through the ledger, taken by hand. For tests of what
//! stands on the ledger, where a real rollout would only take time.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use db::ledger::{Claim, Live, Marks, Transition};
use db::work::Work;
use model::deployment::Kind;
use model::fingerprint::Fingerprint;
use model::id::WorkerId;
use model::reason::{Reason, ReasonCode};
use model::status::Status;
use orchestrator::Ledger;
use sha2::{Digest as _, Sha256};

/// The image id that this reference is resolved to: none that a daemon has, and the same each time.
pub fn image_id(reference: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(reference)))
}

/// Claims the next deployment, which has to be there.
pub async fn claim(ledger: &impl Ledger) -> Result<Claim> {
    ledger.claim_next(WorkerId::new()).await?.context("nothing to claim")
}

/// A transition with no more than it needs.
pub fn transition(to: Status, reason: Option<ReasonCode>) -> Transition {
    Transition {
        to,
        message: format!("pretended: {to}"),
        reason: reason.map(|code| Reason::new(code, "pretended")),
        marks: Marks::default(),
        evidence: None,
        live: None,
    }
}

/// Makes a step that has to succeed.
pub async fn go(ledger: &impl Ledger, claim: Claim, from: Status, step: Transition) -> Result<()> {
    let to = step.to;
    ensure!(ledger.transition(claim, from, &step).await?, "no step {from} to {to}");
    Ok(())
}

/// Claims the next deployment and drives it to `updating`.
pub async fn update(ledger: &impl Ledger) -> Result<(Claim, Work)> {
    let claim = claim(ledger).await?;
    let work = ledger.work(claim.deployment).await?;
    if let Some(release) = &work.release {
        ledger.resolve(release.id, &image_id(&release.spec.0.image)).await?;
    }
    go(ledger, claim, Status::Provisioning, transition(Status::Updating, None)).await?;
    Ok((claim, work))
}

/// Swarm's version of every service here.
pub const VERSION: i64 = 1;

/// A service's fingerprint at a version. No part of its spec is known: there is none.
pub fn fingerprint(version: i64) -> Fingerprint {
    Fingerprint { version, parts: BTreeMap::new(), updated_at: None }
}

/// The end of a deployment that came to what it was asked for.
pub fn success(work: &Work) -> Transition {
    let removal = work.deployment.kind == Kind::Remove;
    let reason = if removal { ReasonCode::Removed } else { ReasonCode::Live };
    let mut end = transition(Status::Succeeded, Some(reason));
    end.live = work.release.as_ref().filter(|_| !removal).map(|release| Live {
        release: release.id,
        restart_counter: work.deployment.restart_counter,
        replicas: work.deployment.replicas,
        fingerprint: fingerprint(VERSION),
    });
    end
}

/// Claims the next deployment and drives it to `succeeded`.
pub async fn succeed(ledger: &impl Ledger) -> Result<Work> {
    let (claim, work) = update(ledger).await?;
    let end = success(&work);
    go(ledger, claim, Status::Updating, transition(Status::Verifying, None)).await?;
    go(ledger, claim, Status::Verifying, end).await?;
    Ok(work)
}

/// Claims the next deployment and fails it before anything ran.
pub async fn fail(ledger: &impl Ledger) -> Result<()> {
    let claim = claim(ledger).await?;
    let end = transition(Status::Failed, Some(ReasonCode::ImageNotFound));
    go(ledger, claim, Status::Provisioning, end).await
}
