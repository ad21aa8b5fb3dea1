//! Back: a broken version is taken back by the platform, and a good one by hand.

use anyhow::{Result, ensure};
use model::id::DeploymentId;
use model::reason::ReasonCode;
use model::status::Status;

use super::IMAGES;
use crate::agreement::Witnesses;
use crate::answers::{Deployment, Evidence};
use crate::narrator::{Step, detail};
use crate::tenant::TenantApp;
use crate::verdict::{expect, follow_one, sentence};
use crate::visitor::Visitor;

/// The release that the broken one is rolled back to, and the one that is rolled back to by hand.
const GOOD: i32 = 2;
const FIRST: i32 = 1;

/// Log lines of the evidence that are shown.
const SHOWN: usize = 3;

/// Deploys v3, which never becomes healthy, and sees v2 come back.
pub(super) async fn by_itself(
    witnesses: &Witnesses,
    web: &TenantApp<'_>,
    visitor: &Visitor,
) -> Result<DeploymentId> {
    let mut step = Step::begin(&web.tenant.slug);
    let underway = web.deploy_image(IMAGES[2]).await?;
    let deployment = follow_one(&mut step, underway, || visitor.aside()).await?;
    expect(&web.name(), &deployment, Status::RolledBack, ReasonCode::Unhealthy)?;
    let agreed = witnesses.agree(web).await?;
    ensure!(
        agreed.live.release == GOOD && agreed.release.image == IMAGES[1],
        "after the rollback v{GOOD} of {} should be live, and v{} is",
        web.name(),
        agreed.live.release
    );
    let counts = visitor.settled().await?;
    counts.expect_no_failure()?;
    ensure!(counts.of("v3") == 0, "{} requests were answered by the broken v3", counts.of("v3"));
    step.done(&format!("{} is deployed and rolled back: v{GOOD} is live", IMAGES[2]));
    detail(&format!("why: {}", sentence(&deployment)));
    evidence(&deployment)?;
    detail(&format!("nobody noticed: {counts}"));
    Ok(deployment.id)
}

/// Rolls back to v1.
pub(super) async fn by_hand(
    witnesses: &Witnesses,
    web: &TenantApp<'_>,
    visitor: &Visitor,
) -> Result<()> {
    let mut step = Step::begin(&web.tenant.slug);
    let before = visitor.settled().await?;
    let underway = web.roll_back(FIRST).await?;
    let deployment = follow_one(&mut step, underway, || visitor.aside()).await?;
    expect(&web.name(), &deployment, Status::Succeeded, ReasonCode::Live)?;
    let agreed = witnesses.agree(web).await?;
    ensure!(
        agreed.live.release == FIRST && agreed.release.image == IMAGES[0],
        "after the rollback v{FIRST} of {} should be live, and v{} is",
        web.name(),
        agreed.live.release
    );
    visitor.until(|counts| counts.of("v1") > before.of("v1") + 50).await?;
    let counts = visitor.settled().await?;
    counts.expect_no_failure()?;
    step.done(&format!("web is rolled back to v{FIRST}: {}", IMAGES[0]));
    detail(sentence(&deployment));
    detail(&format!("0 failed: {counts}"));
    Ok(())
}

/// The evidence that the API keeps of a failure.
fn evidence(deployment: &Deployment) -> Result<()> {
    let Some(Evidence { stage, tasks, log, update_status }) = &deployment.evidence else {
        anyhow::bail!("{} failed, and the API has no evidence of it", deployment.id);
    };
    ensure!(!tasks.is_empty(), "the evidence of {} names no task", deployment.id);
    detail(&format!("evidence: stage {stage}, {} tasks", tasks.len()));
    if let Some(status) = update_status {
        detail(&format!("  Swarm: {status}"));
    }
    let telling = tasks.iter().find(|task| task.health.is_some()).or(tasks.first());
    if let Some(task) = telling {
        let exit = task.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
        let error = task.error.as_deref().map(|error| format!(", {error}")).unwrap_or_default();
        detail(&format!("  replica {}: {}{exit}{error}", task.slot, task.state));
        if let Some(health) = &task.health {
            detail(&format!("  its health check: {health}"));
        }
    }
    for line in log.iter().rev().take(SHOWN).rev() {
        detail(&format!("  its log: {line}"));
    }
    Ok(())
}
