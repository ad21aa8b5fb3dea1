//! Repairs: what the platform asks for by itself, and what it leaves to others.

use anyhow::{Context as _, ensure};
use model::deployment::Kind;
use model::error::ErrorCode;
use model::status::Status;

use super::{Stage, app, deploy};
use crate::Outcome;
use crate::pretend;

/// The version that a verdict leaves here.
const LIVE: Option<i64> = Some(pretend::VERSION);

/// As the last verdict left it, and asked for by nobody.
pub async fn bring_back_what_is_live(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    pretend::succeed(stage.ledger()).await?;
    let live = stage.app(app).await?;
    ensure!(live.live_version == LIVE, "{live:?}");
    stage.wakeups().await?;
    let id = stage.repair(app, LIVE, "somebody took it away").await?.context("no repair")?;
    let repair = stage.deployment(app, id).await?;
    ensure!((repair.kind, repair.status) == (Kind::Repair, Status::Queued), "{repair:?}");
    ensure!(repair.release_id == live.live_release_id, "{repair:?}");
    ensure!(Some(repair.replicas) == live.live_replicas && !repair.force, "{repair:?}");
    ensure!(repair.restart_counter == live.live_restart_counter, "{repair:?}");
    ensure!(repair.requested_by.is_none(), "{repair:?}");
    ensure!(repair.spec_version == Kind::Repair.work_version(), "{repair:?}");
    ensure!(stage.timeline(app, id).await? == ["queued: somebody took it away"]);
    ensure!(stage.wakeups().await? == [id]);
    pretend::succeed(stage.ledger()).await?;
    ensure!(stage.deployment(app, id).await?.status == Status::Succeeded);
    Ok(())
}

/// What is newer than what was seen decides by itself.
pub async fn leave_what_is_under_way_alone(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    ensure!(stage.repair(app, None, "why").await?.is_none(), "never live");
    stage.accept(app, &deploy()).await?;
    pretend::succeed(stage.ledger()).await?;
    ensure!(stage.repair(app, None, "why").await?.is_none(), "another verdict since");
    stage.accept(app, &deploy()).await?;
    ensure!(stage.repair(app, LIVE, "why").await?.is_none(), "one is queued");
    pretend::claim(stage.ledger()).await?;
    let before = stage.everything(app).await?;
    ensure!(stage.repair(app, LIVE, "why").await?.is_none(), "one is driving");
    ensure!(stage.everything(app).await? == before);
    Ok(())
}

/// The platform and whoever keeps changing a service by hand do not take turns for ever.
pub async fn wait_for_each_other(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    pretend::succeed(stage.ledger()).await?;
    stage.repair(app, LIVE, "once").await?.context("no repair")?;
    pretend::succeed(stage.ledger()).await?;
    ensure!(stage.repair(app, LIVE, "twice").await?.is_none());
    Ok(())
}

/// A tenant's deployment takes over; a repair is not the tenant's to withdraw.
pub async fn give_way_and_are_not_withdrawn(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    pretend::succeed(stage.ledger()).await?;
    let repair = stage.repair(app, LIVE, "why").await?.context("no repair")?;
    let refused = stage.cancel(app, repair).await;
    let code = refused.err().map(|error| error.code);
    ensure!(code == Some(ErrorCode::NotCancelable), "{code:?}");
    let newer = stage.accept(app, &deploy()).await?;
    let repair = stage.deployment(app, repair).await?;
    ensure!(repair.status == Status::Superseded, "{repair:?}");
    ensure!(repair.superseded_by == Some(newer), "{repair:?}");
    Ok(())
}
