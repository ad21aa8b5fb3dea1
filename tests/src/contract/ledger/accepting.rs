//! Accepting: what is refused changes nothing.

use db::deployments::DeploymentRequest;
use model::error::ErrorCode;
use model::release::RollbackTarget;
use model::spec::AppSpec;

use super::{Stage, app, deploy, spec};
use crate::{Outcome, pretend};

/// A refusal supersedes nothing, freezes nothing, wakes nobody.
pub async fn refused_changes_nothing(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let bad = DeploymentRequest::Deploy { image: Some("no image".into()), force: false };
    let refusals = [
        (DeploymentRequest::Scale { replicas: 9 }, ErrorCode::NothingDeployed),
        (
            DeploymentRequest::Rollback { target: RollbackTarget::Previous, force: true },
            ErrorCode::NothingDeployed,
        ),
        (
            DeploymentRequest::Rollback { target: RollbackTarget::Number(7), force: true },
            ErrorCode::NotFound,
        ),
        (bad, ErrorCode::Invalid),
    ];
    for queued in [false, true] {
        if queued {
            stage.accept(app, &deploy()).await?;
        }
        stage.wakeups().await?;
        let before = stage.everything(app).await?;
        for (request, code) in &refusals {
            // What is queued can be scaled.
            if queued && matches!(request, DeploymentRequest::Scale { .. }) {
                continue;
            }
            let refused = stage.accept(app, request).await;
            assert_eq!(refused.err().map(|error| error.code), Some(*code), "{request:?}");
        }
        assert_eq!(stage.everything(app).await?, before);
        assert_eq!(stage.wakeups().await?, []);
    }
    Ok(())
}

/// While its removal is on its way, an app takes no changes at all.
pub async fn refused_while_the_app_is_being_removed(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    pretend::succeed(stage.ledger()).await?;
    stage.accept(app, &DeploymentRequest::Remove).await?;
    stage.wakeups().await?;
    let before = stage.everything(app).await?;
    for request in [
        deploy(),
        DeploymentRequest::Scale { replicas: 1 },
        DeploymentRequest::Rollback { target: RollbackTarget::Number(1), force: false },
        DeploymentRequest::Remove,
    ] {
        let refused = stage.accept(app, &request).await;
        assert_eq!(refused.err().map(|error| error.code), Some(ErrorCode::BeingRemoved));
    }
    let refused = stage.app_update(app, spec("web:v2"), 1).await;
    assert_eq!(refused.err().map(|error| error.code), Some(ErrorCode::BeingRemoved));
    assert_eq!(stage.everything(app).await?, before);
    assert_eq!(stage.wakeups().await?, []);
    Ok(())
}

/// An app is held to the policy, and has its name for itself.
pub async fn apps_are_checked(stage: &impl Stage) -> Outcome {
    let (acme, globex) = (stage.organization("acme").await?, stage.organization("globex").await?);
    let app = stage.app_create(acme, "web", spec("web:v1"), 1).await?;
    let taken = stage.app_create(acme, "web", spec("web:v1"), 1).await;
    assert_eq!(taken.err().map(|error| error.code), Some(ErrorCode::AlreadyExists));
    stage.app_create(globex, "web", spec("web:v1"), 1).await?;
    let small = AppSpec { cpu_millis: 1, ..spec("web:v1") };
    let refused = stage.app_create(acme, "small", small.clone(), 1).await;
    assert_eq!(refused.err().map(|error| error.code), Some(ErrorCode::Invalid));
    let refused = stage.app_update(app, small, 1).await;
    assert_eq!(refused.err().map(|error| error.code), Some(ErrorCode::Invalid));
    assert_eq!(stage.app(app).await?.spec.0, spec("web:v1"));
    Ok(())
}
