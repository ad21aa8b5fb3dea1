//! Superseding: a newer deployment takes the queued one's place, and asks the driving one to end.

use db::deployments::DeploymentRequest;
use model::id::WorkerId;
use model::reason::ReasonCode;
use model::status::Status;
use orchestrator::Ledger;

use super::{Stage, app, deploy, spec};
use crate::{Outcome, pretend};

/// The queued one ends at once, and is not claimed any more.
pub async fn ends_the_queued_one(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let older = stage.accept(app, &deploy()).await?;
    let newer = stage.accept(app, &deploy()).await?;
    let ended = stage.deployment(app, older).await?;
    assert_eq!((ended.status, ended.superseded_by), (Status::Superseded, Some(newer)));
    assert_eq!(ended.reason_code, Some(ReasonCode::NewerDeployment));
    assert!(ended.finished_at.is_some() && ended.reason.is_some());
    let takes_over = format!("superseded: the newer deployment {newer} takes over");
    assert_eq!(stage.timeline(app, older).await?, ["queued: accepted".to_owned(), takes_over]);
    assert_eq!(stage.wakeups().await?, [older, newer]);
    assert_eq!(pretend::claim(stage.ledger()).await?.deployment, newer);
    assert_eq!(stage.ledger().claim_next(WorkerId::new()).await?, None);
    Ok(())
}

/// The driving one ends by itself, not by force.
pub async fn asks_the_driving_one(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let older = stage.accept(app, &deploy()).await?;
    let (claim, _) = pretend::update(stage.ledger()).await?;
    let newer = stage.accept(app, &deploy()).await?;
    let asked = stage.deployment(app, older).await?;
    assert_eq!((asked.status, asked.superseded_by), (Status::Updating, Some(newer)));
    assert_eq!((asked.finished_at, asked.reason_code), (None, None));
    let told = format!("updating: asked to end: the newer deployment {newer} takes over");
    assert_eq!(stage.timeline(app, older).await?.last(), Some(&told));
    assert!(stage.ledger().renew(claim).await?, "it is still its worker's");
    Ok(())
}

/// The newest is who asks, and the one in between never runs.
pub async fn leaves_one_queued_behind_the_driving_one(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let first = stage.accept(app, &deploy()).await?;
    let claim = pretend::claim(stage.ledger()).await?;
    let second = stage.accept(app, &deploy()).await?;
    let third = stage.accept(app, &deploy()).await?;
    let rows = stage.deployments(app).await?;
    let seen: Vec<_> = rows.iter().map(|row| (row.id, row.status, row.superseded_by)).collect();
    let wanted = [
        (first, Status::Provisioning, Some(third)),
        (second, Status::Superseded, Some(third)),
        (third, Status::Queued, None),
    ];
    assert_eq!(seen, wanted);
    let numbers: Vec<_> = stage.releases(app).await?.iter().map(|release| release.number).collect();
    assert_eq!(numbers, [1, 2, 3], "each froze a release of its own");
    stage.wakeups().await?;
    let end = pretend::transition(Status::Superseded, Some(ReasonCode::NewerDeployment));
    pretend::go(stage.ledger(), claim, Status::Provisioning, end).await?;
    assert_eq!(stage.wakeups().await?, [third]);
    Ok(())
}

/// Whatever the end: the one that waits is woken in the same step, and nobody where none waits.
pub async fn wakes_the_next_one_with_the_end(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    for end in Status::ALL.iter().filter(|status| status.is_terminal()) {
        stage.accept(app, &deploy()).await?;
        let (claim, _) = pretend::update(stage.ledger()).await?;
        let next = stage.accept(app, &deploy()).await?;
        let mut from = Status::Updating;
        if *end == Status::RolledBack {
            let back = pretend::transition(Status::RollingBack, Some(ReasonCode::Exited));
            pretend::go(stage.ledger(), claim, from, back).await?;
            from = Status::RollingBack;
        }
        stage.wakeups().await?;
        let ending = pretend::transition(*end, Some(ReasonCode::Exited));
        pretend::go(stage.ledger(), claim, from, ending).await?;
        assert_eq!(stage.wakeups().await?, [next], "{end}");
        pretend::fail(stage.ledger()).await?;
        assert_eq!(stage.wakeups().await?, [], "none waits after {end}");
    }
    Ok(())
}

/// The counter never goes back, or Swarm would restart nothing.
pub async fn keeps_the_restart_counter_growing(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let forced = DeploymentRequest::Deploy { image: None, force: true };
    stage.accept(app, &forced).await?;
    pretend::update(stage.ledger()).await?;
    stage.accept(app, &forced).await?;
    stage.accept(app, &deploy()).await?;
    stage.accept(app, &forced).await?;
    let counters: Vec<_> =
        stage.deployments(app).await?.iter().map(|row| (row.restart_counter, row.force)).collect();
    assert_eq!(counters, [(1, true), (2, true), (2, false), (3, true)]);

    // With nothing to supersede it goes on from what is live.
    let other = stage.organization("globex").await?;
    let app = stage.app_create(other, "web", spec("web:v1"), 1).await?;
    stage.accept(app, &forced).await?;
    pretend::succeed(stage.ledger()).await?;
    let next = stage.accept(app, &deploy()).await?;
    assert_eq!(stage.deployment(app, next).await?.restart_counter, 1);
    Ok(())
}

/// A newer one that is withdrawn before it was taken up lets the older one go on.
pub async fn ends_with_the_newer_ones_cancel(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let older = stage.accept(app, &deploy()).await?;
    let (claim, _) = pretend::update(stage.ledger()).await?;
    let newer = stage.accept(app, &deploy()).await?;
    stage.cancel(app, newer).await?;
    assert_eq!(stage.deployment(app, newer).await?.status, Status::Canceled);
    assert_eq!(stage.deployment(app, older).await?.superseded_by, None);
    let told = format!("updating: goes on: the newer deployment {newer} was canceled");
    assert_eq!(stage.timeline(app, older).await?.last(), Some(&told));
    // Its worker decided upon an older look.
    let late = pretend::transition(Status::Superseded, Some(ReasonCode::NewerDeployment));
    assert!(!stage.ledger().transition(claim, Status::Updating, &late).await?);
    assert_eq!(stage.deployment(app, older).await?.status, Status::Updating);
    Ok(())
}

/// Once the older one has ended half done, the newer one has to take over before it ends.
pub async fn leaves_what_is_half_done_to_the_newer_one(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    let (claim, _) = pretend::update(stage.ledger()).await?;
    let newer = stage.accept(app, &deploy()).await?;
    let end = pretend::transition(Status::Superseded, Some(ReasonCode::NewerDeployment));
    pretend::go(stage.ledger(), claim, Status::Updating, end).await?;
    stage.cancel(app, newer).await?;
    let asked = stage.deployment(app, newer).await?;
    assert_eq!(asked.status, Status::Queued);
    assert!(asked.cancel_requested_at.is_some());
    assert_eq!(pretend::claim(stage.ledger()).await?.deployment, newer);
    Ok(())
}
