//! The update: a visitor asks without a pause, and every request is answered while v2 takes over.

use anyhow::{Context as _, Result, ensure};
use model::reason::ReasonCode;
use model::status::Status;
use serde_json::json;

use super::beginning::MADE_BY;
use super::{IMAGES, REPLICAS};
use crate::agreement::Witnesses;
use crate::narrator::{Step, detail};
use crate::tenant::{Tenant, TenantApp};
use crate::verdict::{expect, follow_one, sentence};
use crate::visitor::Visitor;

/// Requests each second of the visitor.
const RATE: u64 = 50;

/// Deploys the visitor and follows what it counts.
pub(super) async fn visit<'t>(
    witnesses: &Witnesses,
    tenant: &'t Tenant,
) -> Result<(TenantApp<'t>, Visitor)> {
    let mut step = Step::begin(&tenant.slug);
    let (key, value) = MADE_BY;
    let app = tenant
        .make(&json!({
            "slug": "visitor",
            "image": IMAGES[0],
            "args": ["visit", "--url", "http://web:8080/", "--rate", RATE.to_string()],
            "port": 8080,
            "memory": 256,
            "health_check": { "http": { "path": "/health" }, "interval": 1, "timeout": 2, "retries": 3 },
            "update_policy": { "preset": "fast" },
            "labels": { key: value },
        }))
        .await?;
    let underway = app.deploy().await?;
    let deployment = follow_one(&mut step, underway, String::new).await?;
    expect(&app.name(), &deployment, Status::Succeeded, ReasonCode::Live)?;
    let agreed = witnesses.agree(&app).await?;
    let task = &agreed.replicas.first().context("no visitor runs")?.task;
    let visitor = Visitor::follow(&witnesses.docker, task);
    let counts = visitor.until(|counts| counts.of("v1") >= RATE).await?;
    counts.expect_no_failure()?;
    step.done(&format!("visitor asks http://web:8080/ {RATE} times a second"));
    Ok((app, visitor))
}

/// Updates `web` to v2 while the visitor asks.
pub(super) async fn to_v2(
    witnesses: &Witnesses,
    web: &TenantApp<'_>,
    visitor: &Visitor,
) -> Result<()> {
    let mut step = Step::begin(&web.tenant.slug);
    let before = visitor.settled().await?;
    let underway = web.deploy_image(IMAGES[1]).await?;
    let deployment = follow_one(&mut step, underway, || visitor.aside()).await?;
    expect(&web.name(), &deployment, Status::Succeeded, ReasonCode::Live)?;
    let agreed = witnesses.agree(web).await?;
    ensure!(
        agreed.release.image == IMAGES[1] && agreed.live.replicas == REPLICAS,
        "{} should run {} with {REPLICAS} replicas, and runs {} with {}",
        web.name(),
        IMAGES[1],
        agreed.release.image,
        agreed.live.replicas
    );
    visitor.until(|counts| counts.of("v2") >= RATE).await?;
    let after = visitor.settled().await?;
    after.expect_no_failure()?;
    step.done(&format!("web is updated to {}, start-first", IMAGES[1]));
    detail(sentence(&deployment));
    detail(&format!("meanwhile {} requests, 0 failed: {after}", after.sent - before.sent));
    Ok(())
}

/// Scales the visitor to nothing and takes its last word.
pub(super) async fn rest(
    witnesses: &Witnesses,
    app: &TenantApp<'_>,
    visitor: Visitor,
) -> Result<()> {
    let mut step = Step::begin(&app.tenant.slug);
    let underway = app.scale(0).await?;
    let deployment = follow_one(&mut step, underway, String::new).await?;
    expect(&app.name(), &deployment, Status::Succeeded, ReasonCode::Live)?;
    let counts = visitor.end().await?;
    counts.expect_no_failure()?;
    witnesses.agree(app).await?;
    step.done("visitor is scaled to 0: it may rest");
    detail(&format!("of {} requests all were answered: {counts}", counts.sent));
    Ok(())
}
