//! Targets: which release and how many replicas a new deployment is accepted with.

use anyhow::{Context, Result};
use db::deployments::DeploymentRequest;
use model::error::ErrorCode;
use model::id::{AppId, DeploymentId};
use model::reason::ReasonCode;
use model::release::RollbackTarget;
use model::status::Status;

use super::{Stage, app, deploy, spec};
use crate::{Outcome, pretend};

/// Insists on the release of this number, or on the previous one.
const fn rollback(release: Option<i32>) -> DeploymentRequest {
    let target = match release {
        Some(number) => RollbackTarget::Number(number),
        None => RollbackTarget::Previous,
    };
    DeploymentRequest::Rollback { target, force: true }
}

/// Number of a deployment's release.
async fn number(stage: &impl Stage, app: AppId, id: DeploymentId) -> Result<Option<i32>> {
    let release = stage.deployment(app, id).await?.release_id;
    let releases = stage.releases(app).await?;
    Ok(releases.iter().find(|one| Some(one.id) == release).map(|one| one.number))
}

/// The code of a refusal.
async fn refused(stage: &impl Stage, app: AppId, request: &DeploymentRequest) -> Result<ErrorCode> {
    stage.accept(app, request).await.err().map(|error| error.code).context("it was accepted")
}

/// A deploy freezes the app as it is, and an image that it names becomes the app's.
pub async fn a_deploy_freezes_the_app(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    let named = DeploymentRequest::Deploy { image: Some("web:v2".into()), force: false };
    stage.accept(app, &named).await?;
    let third = stage.accept(app, &deploy()).await?;
    let frozen = stage.releases(app).await?;
    let images: Vec<_> = frozen.iter().map(|one| (one.number, one.spec.0.image.as_str())).collect();
    assert_eq!(images, [(1, "web:v1"), (2, "web:v2"), (3, "web:v2")]);
    assert!(frozen.iter().all(|one| one.resolved_image.is_none() && one.stable_at.is_none()));
    stage.app_update(app, spec("web:v9"), 4).await?;
    assert_eq!(stage.releases(app).await?, frozen, "a patch of the app changes no release");
    assert_eq!(stage.deployment(app, third).await?.replicas, 2, "nor what was accepted");
    let row = stage.app(app).await?;
    assert_eq!((row.last_release, row.spec.0.image.as_str(), row.replicas), (3, "web:v9", 4));
    Ok(())
}

/// The previous one: what a deployment left live before, whatever was tried since.
pub async fn the_previous_release_is_the_one_live_before(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    assert_eq!(refused(stage, app, &rollback(None)).await?, ErrorCode::NothingDeployed);
    for _ in 0..2 {
        stage.accept(app, &deploy()).await?;
        pretend::succeed(stage.ledger()).await?;
    }
    // One that failed was never live, and one that was unchanged never ran under its number.
    stage.accept(app, &deploy()).await?;
    pretend::fail(stage.ledger()).await?;
    stage.accept(app, &deploy()).await?;
    let (claim, work) = pretend::update(stage.ledger()).await?;
    let mut unchanged = pretend::success(&work);
    unchanged.reason = Some(model::reason::Reason::new(ReasonCode::Unchanged, "the same"));
    unchanged.live = None;
    pretend::go(stage.ledger(), claim, Status::Updating, unchanged).await?;

    let back = stage.accept(app, &rollback(None)).await?;
    assert_eq!(number(stage, app, back).await?, Some(1));
    pretend::succeed(stage.ledger()).await?;
    let forth = stage.accept(app, &rollback(None)).await?;
    assert_eq!(
        number(stage, app, forth).await?,
        Some(2),
        "back from a rollback is where it came from"
    );
    assert_eq!(stage.releases(app).await?.len(), 4, "a rollback freezes nothing");
    Ok(())
}

/// By number: it exists, it ran, and it is among the newest ten.
pub async fn a_rollback_by_number_asks_for_one_that_ran(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    assert_eq!(refused(stage, app, &rollback(Some(1))).await?, ErrorCode::NotDeployable);
    pretend::succeed(stage.ledger()).await?;
    assert_eq!(refused(stage, app, &rollback(None)).await?, ErrorCode::NothingDeployed);
    assert_eq!(refused(stage, app, &rollback(Some(2))).await?, ErrorCode::NotFound);
    assert_eq!(refused(stage, app, &rollback(Some(0))).await?, ErrorCode::NotFound);
    for _ in 0..11 {
        stage.accept(app, &deploy()).await?;
        pretend::succeed(stage.ledger()).await?;
    }
    assert_eq!(refused(stage, app, &rollback(Some(2))).await?, ErrorCode::NotDeployable);
    stage.app_update(app, spec("web:v1"), 6).await?;
    let oldest = stage.accept(app, &rollback(Some(3))).await?;
    assert_eq!(number(stage, app, oldest).await?, Some(3));
    assert_eq!(stage.deployment(app, oldest).await?.replicas, 6, "replicas belong to the app");
    let live = stage.accept(app, &rollback(Some(12))).await?;
    assert_eq!(number(stage, app, live).await?, Some(12), "the live one, too");
    pretend::succeed(stage.ledger()).await?;
    let target = RollbackTarget::Number(12);
    let gently = DeploymentRequest::Rollback { target, force: false };
    assert_eq!(refused(stage, app, &gently).await?, ErrorCode::AlreadyLive);
    Ok(())
}

/// Scaling does not undo what it supersedes; it does leave what is being taken back.
pub async fn a_scale_keeps_the_release_that_is_coming(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    pretend::succeed(stage.ledger()).await?;
    let scale = DeploymentRequest::Scale { replicas: 3 };

    stage.accept(app, &deploy()).await?;
    let queued = stage.accept(app, &scale).await?;
    assert_eq!(number(stage, app, queued).await?, Some(2), "of the queued one");
    let (claim, _) = pretend::update(stage.ledger()).await?;
    let driving = stage.accept(app, &scale).await?;
    assert_eq!(number(stage, app, driving).await?, Some(2), "of the driving one");

    let back = pretend::transition(Status::RollingBack, Some(ReasonCode::Exited));
    pretend::go(stage.ledger(), claim, Status::Updating, back).await?;
    let again = stage.accept(app, &scale).await?;
    assert_eq!(number(stage, app, again).await?, Some(2), "of the one that waits");
    let end = pretend::transition(Status::Superseded, Some(ReasonCode::NewerDeployment));
    pretend::go(stage.ledger(), claim, Status::RollingBack, end).await?;
    let (claim, _) = pretend::update(stage.ledger()).await?;
    let back = pretend::transition(Status::RollingBack, Some(ReasonCode::Exited));
    pretend::go(stage.ledger(), claim, Status::Updating, back).await?;
    let live = stage.accept(app, &scale).await?;
    assert_eq!(number(stage, app, live).await?, Some(1), "the live one, while the other goes");
    assert_eq!(stage.app(app).await?.replicas, 3);
    Ok(())
}

/// A removal runs what is there with no replicas first; where nothing is, it has no release.
pub async fn a_removal_takes_the_running_release(stage: &impl Stage) -> Outcome {
    let home = stage.organization("acme").await?;
    let web = stage.app_create(home, "web", spec("web:v1"), 2).await?;
    let never = stage.accept(web, &DeploymentRequest::Remove).await?;
    let row = stage.deployment(web, never).await?;
    assert_eq!((row.release_id, row.replicas), (None, 0));

    let api = stage.app_create(home, "api", spec("web:v1"), 2).await?;
    stage.accept(api, &deploy()).await?;
    let superseding = stage.accept(api, &DeploymentRequest::Remove).await?;
    assert_eq!(number(stage, api, superseding).await?, Some(1));
    let row = stage.app(api).await?;
    assert!(row.removal_requested_at.is_some());
    assert_eq!((row.replicas, row.removed_at), (2, None), "what it had, should it stay");
    Ok(())
}
