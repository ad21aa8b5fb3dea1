//! Ends: what a verdict leaves on the app and on its releases, for each kind and each end.

use anyhow::{Context, Result};
use db::deployments::DeploymentRequest;
use db::ledger::{Claim, Live};
use db::work::Work;
use model::app::App;
use model::deployment::Kind;
use model::error::ErrorCode;
use model::id::{AppId, ReleaseId};
use model::reason::ReasonCode;
use model::status::Status;
use orchestrator::Ledger;

use super::{Stage, app, deploy, spec};
use crate::{Outcome, pretend};

/// What an app's row says is live.
fn live(app: &App) -> Option<(ReleaseId, i64, i32)> {
    Some((app.live_release_id?, app.live_restart_counter, app.live_replicas?))
}

/// Has it accepted, and drives it to `succeeded`.
async fn succeed(stage: &impl Stage, app: AppId, request: &DeploymentRequest) -> Result<Work> {
    let id = stage.accept(app, request).await?;
    let work = pretend::succeed(stage.ledger()).await?;
    assert_eq!(work.deployment.id, id);
    Ok(work)
}

/// Ends what is `updating`, after going back where the end asks for it.
async fn end(stage: &impl Stage, claim: Claim, to: Status, live: Option<Live>) -> Result<()> {
    let mut from = Status::Updating;
    if to == Status::RolledBack {
        let back = pretend::transition(Status::RollingBack, Some(ReasonCode::Unschedulable));
        pretend::go(stage.ledger(), claim, from, back).await?;
        from = Status::RollingBack;
    }
    let mut ending = pretend::transition(to, Some(ReasonCode::Unschedulable));
    ending.live = live;
    pretend::go(stage.ledger(), claim, from, ending).await
}

/// A release that was seen healthy is live, and one to go back to.
pub async fn a_deploy_that_succeeds_is_live_and_stable(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let forced = DeploymentRequest::Deploy { image: None, force: true };
    let work = succeed(stage, app, &forced).await?;
    let release = &stage.releases(app).await?[0];
    let row = stage.app(app).await?;
    assert_eq!(live(&row), Some((release.id, 1, 2)));
    assert!(release.stable_at.is_some());
    assert_eq!((work.live, work.fingerprint), (None, None), "nothing was live when it began");
    let next = succeed(stage, app, &deploy()).await?;
    assert_eq!(next.live.map(|live| live.id), Some(release.id));
    assert_eq!(next.fingerprint, Some(pretend::fingerprint(pretend::VERSION)));
    Ok(())
}

/// An app without replicas can succeed, and its release has proven nothing.
pub async fn no_replicas_make_no_release_stable(stage: &impl Stage) -> Outcome {
    let home = stage.organization("acme").await?;
    let app = stage.app_create(home, "web", spec("web:v1"), 0).await?;
    succeed(stage, app, &deploy()).await?;
    let release = stage.releases(app).await?.remove(0);
    assert_eq!(release.stable_at, None);
    assert_eq!(live(&stage.app(app).await?), Some((release.id, 0, 0)));
    succeed(stage, app, &DeploymentRequest::Scale { replicas: 1 }).await?;
    let stable = stage.releases(app).await?.remove(0);
    assert!(stable.stable_at.is_some(), "the same release, with a replica");
    succeed(stage, app, &DeploymentRequest::Scale { replicas: 3 }).await?;
    assert_eq!(stage.releases(app).await?, [stable], "it is stable since the first time");
    Ok(())
}

/// Rolled back: the old one is live, as it was verified again; the new one never is.
pub async fn a_deploy_that_is_rolled_back_leaves_the_old_one_live(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    succeed(stage, app, &deploy()).await?;
    stage.accept(app, &deploy()).await?;
    let (claim, work) = pretend::update(stage.ledger()).await?;
    let before = work.live.context("nothing was live")?;
    let again = Live {
        release: before.id,
        restart_counter: 4,
        replicas: 1,
        fingerprint: pretend::fingerprint(11),
    };
    end(stage, claim, Status::RolledBack, Some(again)).await?;
    assert_eq!(live(&stage.app(app).await?), Some((before.id, 4, 1)));
    assert_eq!(stage.app(app).await?.replicas, 2, "only a scale gives its replicas back");
    let releases = stage.releases(app).await?;
    assert_eq!(releases[0].stable_at, before.stable_at);
    assert_eq!(releases[1].stable_at, None);
    Ok(())
}

/// Every end that does not know what is live leaves what was.
pub async fn an_end_that_knows_nothing_live_changes_nothing(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    succeed(stage, app, &deploy()).await?;
    for to in [Status::Failed, Status::Canceled, Status::Stuck] {
        let before = stage.app(app).await?;
        stage.accept(app, &deploy()).await?;
        let (claim, _) = pretend::update(stage.ledger()).await?;
        end(stage, claim, to, None).await?;
        let after = stage.app(app).await?;
        assert_eq!((live(&after), after.replicas), (live(&before), before.replicas), "{to}");
    }
    let stable = stage.releases(app).await?.iter().filter(|one| one.stable_at.is_some()).count();
    assert_eq!(stable, 1);
    Ok(())
}

/// An end that found something live and is no success: live, and not stable by that.
pub async fn only_success_makes_stable(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    let (claim, work) = pretend::update(stage.ledger()).await?;
    let release = work.release.context("no release")?.id;
    let found =
        Live { release, restart_counter: 0, replicas: 2, fingerprint: pretend::fingerprint(12) };
    end(stage, claim, Status::RolledBack, Some(found)).await?;
    assert_eq!(live(&stage.app(app).await?), Some((release, 0, 2)));
    assert_eq!(stage.releases(app).await?[0].stable_at, None);
    Ok(())
}

/// A scale that worked is what the app has from then on.
pub async fn a_scale_that_succeeds_stays(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let first = succeed(stage, app, &deploy()).await?.release.context("no release")?;
    let scaled = succeed(stage, app, &DeploymentRequest::Scale { replicas: 5 }).await?;
    assert_eq!(scaled.deployment.kind, Kind::Scale);
    let row = stage.app(app).await?;
    assert_eq!((live(&row), row.replicas), (Some((first.id, 0, 5)), 5));
    Ok(())
}

/// A scale that did not work must not be tried again by the next deployment.
pub async fn a_scale_that_is_rolled_back_is_not_tried_again(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let first = succeed(stage, app, &deploy()).await?.release.context("no release")?;
    stage.accept(app, &DeploymentRequest::Scale { replicas: 5 }).await?;
    assert_eq!(stage.app(app).await?.replicas, 5);
    let (claim, _) = pretend::update(stage.ledger()).await?;
    let before = Live {
        release: first.id,
        restart_counter: 0,
        replicas: 2,
        fingerprint: pretend::fingerprint(12),
    };
    end(stage, claim, Status::RolledBack, Some(before)).await?;
    let row = stage.app(app).await?;
    assert_eq!((live(&row), row.replicas), (Some((first.id, 0, 2)), 2));
    // Nor by one after it that came to nothing at all.
    stage.accept(app, &DeploymentRequest::Scale { replicas: 7 }).await?;
    let (claim, _) = pretend::update(stage.ledger()).await?;
    end(stage, claim, Status::Stuck, None).await?;
    assert_eq!(stage.app(app).await?.replicas, 2);
    Ok(())
}

/// A stop or a start that came to nothing leaves the app as it was; one that succeeded stays.
pub async fn a_stop_or_start_counts_when_it_succeeds(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    succeed(stage, app, &deploy()).await?;
    let stopped = async || stage.app(app).await.map(|row| row.stopped_at.is_some());
    for (request, before) in
        [(DeploymentRequest::Stop { why: None }, false), (DeploymentRequest::Start, true)]
    {
        for to in [Status::Failed, Status::RolledBack, Status::Canceled, Status::Stuck] {
            stage.accept(app, &request).await?;
            assert_eq!(stopped().await?, !before, "asked for");
            let (claim, _) = pretend::update(stage.ledger()).await?;
            pretend::go(
                stage.ledger(),
                claim,
                Status::Updating,
                pretend::transition(Status::RollingBack, Some(ReasonCode::Exited)),
            )
            .await?;
            let end = pretend::transition(to, None);
            pretend::go(stage.ledger(), claim, Status::RollingBack, end).await?;
            assert_eq!(stopped().await?, before, "{to}");
        }
        let work = succeed(stage, app, &request).await?;
        assert_eq!(work.deployment.replicas, if before { 2 } else { 0 });
        assert_eq!(stopped().await?, !before);
    }
    assert_eq!(stage.app(app).await?.replicas, 2, "kept for the start");
    Ok(())
}

/// A wish that came after the scale is not taken back with it.
pub async fn a_newer_wish_outlives_a_scale_that_is_rolled_back(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let first = succeed(stage, app, &deploy()).await?.release.context("no release")?;
    stage.accept(app, &DeploymentRequest::Scale { replicas: 5 }).await?;
    let (claim, _) = pretend::update(stage.ledger()).await?;
    stage.app_update(app, spec("web:v1"), 3).await?;
    let before = Live {
        release: first.id,
        restart_counter: 0,
        replicas: 2,
        fingerprint: pretend::fingerprint(12),
    };
    end(stage, claim, Status::RolledBack, Some(before)).await?;
    assert_eq!(stage.app(app).await?.replicas, 3);
    Ok(())
}

/// Removed: nothing is live, nothing is found any more, and the slug is free.
pub async fn a_removal_that_succeeds_ends_the_app(stage: &impl Stage) -> Outcome {
    let home = stage.organization("acme").await?;
    let app = stage.app_create(home, "web", spec("web:v1"), 2).await?;
    succeed(stage, app, &deploy()).await?;
    let again = stage.app_create(home, "web", spec("web:v1"), 2).await;
    assert_eq!(again.err().map(|error| error.code), Some(ErrorCode::AlreadyExists));
    let work = succeed(stage, app, &DeploymentRequest::Remove).await?;
    assert_eq!((work.deployment.kind, work.deployment.replicas), (Kind::Remove, 0));
    let row = stage.app(app).await?;
    assert!(row.removed_at.is_some() && row.removal_requested_at.is_some());
    assert_eq!((row.live_release_id, row.live_replicas), (None, None));
    let refused = stage.accept(app, &deploy()).await;
    assert_eq!(refused.err().map(|error| error.code), Some(ErrorCode::NotFound));
    stage.app_create(home, "web", spec("web:v1"), 2).await?;
    Ok(())
}

/// What could not be removed takes changes again, another removal among them.
pub async fn a_removal_that_fails_gives_the_app_back(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let first = succeed(stage, app, &deploy()).await?.release.context("no release")?;
    for to in [Status::Stuck, Status::Failed, Status::RolledBack] {
        stage.accept(app, &DeploymentRequest::Remove).await?;
        let refused = stage.accept(app, &DeploymentRequest::Remove).await;
        assert_eq!(refused.err().map(|error| error.code), Some(ErrorCode::BeingRemoved));
        let (claim, _) = pretend::update(stage.ledger()).await?;
        end(stage, claim, to, None).await?;
        let row = stage.app(app).await?;
        assert_eq!((row.removal_requested_at, row.removed_at), (None, None), "{to}");
        assert_eq!(live(&row), Some((first.id, 0, 2)), "{to}");
    }
    succeed(stage, app, &deploy()).await?;
    Ok(())
}

/// What is not an end leaves the app as it is, whatever it believes to be live.
pub async fn steps_on_the_way_change_no_app(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    let claim = pretend::claim(stage.ledger()).await?;
    let work = stage.ledger().work(claim.deployment).await?;
    let release = work.release.context("no release")?.id;
    let mut step = pretend::transition(Status::Updating, None);
    step.live = Some(Live {
        release,
        restart_counter: 9,
        replicas: 9,
        fingerprint: pretend::fingerprint(19),
    });
    pretend::go(stage.ledger(), claim, Status::Provisioning, step).await?;
    let row = stage.app(app).await?;
    assert_eq!((live(&row), row.live_restart_counter), (None, 0));
    Ok(())
}
