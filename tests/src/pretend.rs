//! Verdicts without a Swarm: a worker's steps through the ledger, taken by hand. For tests of what
//! stands on the ledger, where a real rollout would only take time.

use anyhow::{Context, Result, ensure};
use db::Database;
use db::ledger::{Claim, Live, Marks, Transition, deployment_claim_next, ledger_transition};
use db::work::{Work, release_resolve, work_read};
use model::deployment::Kind;
use model::id::WorkerId;
use model::reason::{Reason, ReasonCode};
use model::status::Status;
use sha2::{Digest as _, Sha256};

/// The image id that this reference is resolved to: none that a daemon has, and the same each time.
pub fn image_id(reference: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(reference)))
}

/// Claims the next deployment, which has to be there.
pub async fn claim(database: &Database) -> Result<Claim> {
    deployment_claim_next(database, WorkerId::new()).await?.context("nothing to claim")
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
pub async fn go(database: &Database, claim: Claim, from: Status, step: Transition) -> Result<()> {
    let to = step.to;
    ensure!(ledger_transition(database, claim, from, &step).await?, "no step {from} to {to}");
    Ok(())
}

/// Claims the next deployment and drives it to `updating`.
pub async fn update(database: &Database) -> Result<(Claim, Work)> {
    let claim = claim(database).await?;
    let work = work_read(database, claim.deployment).await?;
    if let Some(release) = &work.release {
        release_resolve(database, release.id, &image_id(&release.spec.0.image)).await?;
    }
    go(database, claim, Status::Provisioning, transition(Status::Updating, None)).await?;
    Ok((claim, work))
}

/// Claims the next deployment and drives it to `succeeded`.
pub async fn succeed(database: &Database) -> Result<Work> {
    let (claim, work) = update(database).await?;
    let reason =
        if work.deployment.kind == Kind::Remove { ReasonCode::Removed } else { ReasonCode::Live };
    let mut end = transition(Status::Succeeded, Some(reason));
    end.live =
        work.release.as_ref().filter(|_| work.deployment.kind != Kind::Remove).map(|release| {
            Live {
                release: release.id,
                restart_counter: work.deployment.restart_counter,
                replicas: work.deployment.replicas,
            }
        });
    go(database, claim, Status::Updating, transition(Status::Verifying, None)).await?;
    go(database, claim, Status::Verifying, end).await?;
    Ok(work)
}

/// Claims the next deployment and fails it before anything ran.
pub async fn fail(database: &Database) -> Result<()> {
    let claim = claim(database).await?;
    let end = transition(Status::Failed, Some(ReasonCode::ImageNotFound));
    go(database, claim, Status::Provisioning, end).await
}
