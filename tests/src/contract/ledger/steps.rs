//! Steps: compare and set, all of it or nothing.

use anyhow::{Context, Result};
use db::ledger::{Claim, Marks};
use model::evidence::Evidence;
use model::id::AppId;
use model::reason::ReasonCode;
use model::status::Status;
use orchestrator::Ledger;

use super::{Stage, app, deploy};
use crate::{Outcome, pretend};

/// A deployment in each status that a worker drives in.
async fn drive_to(stage: &impl Stage, app: AppId, status: Status) -> Result<Claim> {
    stage.accept(app, &deploy()).await?;
    let claim = pretend::claim(stage.ledger()).await?;
    let way: &[Status] = match status {
        Status::Updating => &[Status::Updating],
        Status::Verifying => &[Status::Updating, Status::Verifying],
        Status::RollingBack => &[Status::Updating, Status::RollingBack],
        _ => &[],
    };
    let mut from = Status::Provisioning;
    for to in way {
        let step = pretend::transition(*to, Some(ReasonCode::Unhealthy));
        pretend::go(stage.ledger(), claim, from, step).await?;
        from = *to;
    }
    Ok(claim)
}

/// A step outside the state machine is an error, and nothing is written.
pub async fn outside_the_machine_are_refused(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    for from in Status::DRIVING {
        let claim = drive_to(stage, app, *from).await?;
        let before = stage.everything(app).await?;
        stage.wakeups().await?;
        for to in Status::ALL.iter().filter(|to| !from.may_become(**to)) {
            let step = pretend::transition(*to, Some(ReasonCode::Live));
            let refused = stage.ledger().transition(claim, *from, &step).await;
            assert!(refused.is_err(), "{from} to {to}: {refused:?}");
        }
        assert_eq!(stage.everything(app).await?, before);
        assert_eq!(stage.wakeups().await?, []);
        let end = pretend::transition(Status::Failed, Some(ReasonCode::Unhealthy));
        pretend::go(stage.ledger(), claim, *from, end).await?;
    }
    Ok(())
}

/// A step from a status that it is not in (any more): false, and nothing is written.
pub async fn from_another_status_are_not_made(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    for status in Status::DRIVING {
        let claim = drive_to(stage, app, *status).await?;
        let before = stage.everything(app).await?;
        stage.wakeups().await?;
        for from in Status::DRIVING.iter().filter(|from| *from != status) {
            let end = pretend::transition(Status::Failed, Some(ReasonCode::Unhealthy));
            assert!(!stage.ledger().transition(claim, *from, &end).await?, "{from}, in {status}");
        }
        assert_eq!(stage.everything(app).await?, before);
        assert_eq!(stage.wakeups().await?, []);
        let end = pretend::transition(Status::Failed, Some(ReasonCode::Unhealthy));
        pretend::go(stage.ledger(), claim, *status, end).await?;
    }
    Ok(())
}

/// Every step is told in the timeline, with its reason on the row and its evidence kept.
pub async fn are_told(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let claim = drive_to(stage, app, Status::Verifying).await?;
    let id = claim.deployment;
    let mut back = pretend::transition(Status::RollingBack, Some(ReasonCode::Exited));
    let seen = Evidence { stage: "verifying".into(), ..Evidence::default() };
    back.evidence = Some(seen.clone());
    pretend::go(stage.ledger(), claim, Status::Verifying, back).await?;
    let row = stage.deployment(app, id).await?;
    assert_eq!(row.reason_code, Some(ReasonCode::Exited));
    assert_eq!(stage.evidence(id).await?, Some(seen));
    // The reason that it went back for stays, unless the end brings another one.
    let mut end = pretend::transition(Status::RolledBack, None);
    let seen = Evidence { stage: "rolling_back".into(), ..Evidence::default() };
    end.evidence = Some(seen.clone());
    pretend::go(stage.ledger(), claim, Status::RollingBack, end).await?;
    let row = stage.deployment(app, id).await?;
    assert_eq!((row.status, row.reason_code), (Status::RolledBack, Some(ReasonCode::Exited)));
    assert!(row.finished_at.is_some());
    assert_eq!(stage.evidence(id).await?, Some(seen), "the newest is kept");
    let told = stage.timeline(app, id).await?;
    let statuses =
        ["queued", "provisioning", "updating", "verifying", "rolling_back", "rolled_back"];
    assert!(told.iter().map(|line| line.split(':').next()).eq(statuses.map(Some)), "{told:?}");
    Ok(())
}

/// Moments are stamped by the ledger's clock, and a window that broke off is forgotten.
pub async fn stamp_moments(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let claim = drive_to(stage, app, Status::Provisioning).await?;
    let ledger = stage.ledger();
    let mut step = pretend::transition(Status::Updating, None);
    step.marks = Marks { applied: true, progressed: true, healthy: Some(false) };
    pretend::go(ledger, claim, Status::Provisioning, step).await?;
    let (row, now) = ledger.read(claim).await?.context("not ours")?;
    assert!(row.applied_at.is_some_and(|at| at <= now));
    assert_eq!((row.progressed_at, row.healthy_since), (row.applied_at, None));

    assert!(ledger.mark(claim, Marks { healthy: Some(true), ..Marks::default() }).await?);
    let (healthy, _) = ledger.read(claim).await?.context("not ours")?;
    assert!(healthy.healthy_since.is_some());
    assert_eq!((healthy.applied_at, healthy.progressed_at), (row.applied_at, row.progressed_at));
    assert!(ledger.mark(claim, Marks::default()).await?, "ours, though there was nothing to stamp");
    let (same, _) = ledger.read(claim).await?.context("not ours")?;
    assert_eq!(same.healthy_since, healthy.healthy_since);

    assert!(ledger.mark(claim, Marks { healthy: Some(false), ..Marks::default() }).await?);
    let (lost, _) = ledger.read(claim).await?.context("not ours")?;
    assert_eq!((lost.healthy_since, lost.status), (None, Status::Updating));
    Ok(())
}

/// A deployment that does not say why does not end.
pub async fn do_not_end_it_without_a_reason(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let claim = drive_to(stage, app, Status::Provisioning).await?;
    let before = stage.everything(app).await?;
    let end = pretend::transition(Status::Failed, None);
    assert!(stage.ledger().transition(claim, Status::Provisioning, &end).await.is_err());
    assert_eq!(stage.everything(app).await?, before);
    Ok(())
}

/// A terminal status never changes again, whoever tries; it can still be read.
pub async fn end_once(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    // Superseded is what a newer one makes of it: see `superseding`.
    let alone = |status: &&Status| status.is_terminal() && **status != Status::Superseded;
    for end in Status::ALL.iter().filter(alone) {
        let from =
            if *end == Status::RolledBack { Status::RollingBack } else { Status::Provisioning };
        let claim = drive_to(stage, app, from).await?;
        let ending = pretend::transition(*end, Some(ReasonCode::Unhealthy));
        pretend::go(stage.ledger(), claim, from, ending).await?;
        let before = stage.everything(app).await?;
        stage.wakeups().await?;

        let ledger = stage.ledger();
        for again in Status::ALL.iter().filter(|status| status.is_terminal()) {
            let step = pretend::transition(*again, Some(ReasonCode::Live));
            assert!(ledger.transition(claim, *end, &step).await.is_err(), "{end} to {again}");
            let ended = ledger.transition(claim, from, &step).await;
            assert!(!matches!(ended, Ok(true)), "{end} to {again}, as if it were in {from}");
        }
        assert!(!ledger.renew(claim).await?);
        assert!(!ledger.mark(claim, Marks { progressed: true, ..Marks::default() }).await?);
        assert_eq!(ledger.claim_next(model::id::WorkerId::new()).await?, None);
        let (row, _) = ledger.read(claim).await?.context("an end is read by whoever made it")?;
        assert_eq!(row.status, *end);
        assert_eq!(stage.everything(app).await?, before);
        assert_eq!(stage.wakeups().await?, []);
    }
    Ok(())
}

/// A release's image is written once: the second one gets what the first one wrote.
pub async fn resolve_an_image_once(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    drive_to(stage, app, Status::Provisioning).await?;
    let release = stage.releases(app).await?[0].id;
    let ledger = stage.ledger();
    let first = ledger.resolve(release, "sha256:first").await?;
    let second = ledger.resolve(release, "sha256:second").await?;
    assert_eq!(first.resolved_image.as_deref(), Some("sha256:first"));
    assert_eq!(second, first);
    assert_eq!(stage.releases(app).await?, [first]);
    Ok(())
}
