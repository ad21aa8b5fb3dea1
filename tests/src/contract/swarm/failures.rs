//! Updates that fail: taken back, paused, or overtaken.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use model::update_policy::FailureAction;
use orchestrator::swarm::{ServiceSpec, TaskState, UpdateState};

use super::scene::{Scene, alive, hash, of, running, update, wanted};
use super::{Image, Stage};
use crate::Outcome;

/// A spec that crashes well within its window, on a busy machine, too.
fn crashing<S: Stage>(scene: &Scene<'_, S>, replicas: i32) -> ServiceSpec {
    let mut spec = scene.spec(Image::Crashing, replicas);
    spec.update.monitor = Duration::from_secs(10);
    spec.rollback.monitor = Duration::from_secs(10);
    spec
}

/// The labels go back in the same step that says so: whoever sees a rollback sees the old release.
pub async fn a_crashing_update_is_rolled_back_with_its_labels<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 2);
    scene.running(&old).await?;
    let new = crashing(&scene, 2);
    scene.update(&new).await?;
    let mut torn = Vec::new();
    let (service, _) = scene
        .until("the rollback's end", &new, |service, _| {
            let is_back = update(service).is_some_and(UpdateState::is_rollback);
            let labels = if is_back { &old.labels } else { &new.labels };
            if service.labels != *labels {
                torn.push(service.clone());
            }
            update(service) == Some(UpdateState::RollbackCompleted)
        })
        .await?;
    ensure!(torn.is_empty(), "{torn:#?}");
    ensure!(service.spec_hash.as_ref() == Some(&old.spec_hash), "{service:#?}");
    // Each place has its task. On a busy machine SwarmKit was seen to leave two in one, for good: the one that took a crashed one's
    // place, and another that the rollback made beside it.
    let (_, tasks) = scene
        .until("every place to be taken", &old, |_, tasks| {
            let slots: BTreeSet<i64> = running(tasks, &old).map(|task| task.slot).collect();
            slots.len() == 2 && wanted(tasks).count() == running(tasks, &old).count()
        })
        .await?;
    ensure!(of(&tasks, &new).any(|task| task.state == TaskState::Failed), "{tasks:#?}");
    // There is no way further back: Swarm kept one spec.
    ensure!(!stage.roll_back(&old.name).await?);
    Ok(())
}

/// A task that never runs takes no other's place: one that is killed. (One that ends with 0 when
/// its health check fails may be RUNNING for a moment, and Swarm goes on from there.)
pub async fn an_unhealthy_update_never_touches_what_runs<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 1);
    let before = scene.running(&old).await?;
    let mut new = scene.spec(Image::Unhealthy, 1);
    new.task.stop_signal = "SIGKILL".into();
    new.spec_hash = hash(&new.task);
    scene.update(&new).await?;
    let mut fewest = 1;
    let (service, tasks) = scene
        .until("the rollback's end", &new, |service, tasks| {
            fewest = fewest.min(alive(tasks));
            update(service) == Some(UpdateState::RollbackCompleted)
        })
        .await?;
    ensure!(fewest == 1, "the old task ran all the time");
    ensure!(service.labels == old.labels);
    ensure!(of(&tasks, &new).all(|task| task.desired > TaskState::Running), "{tasks:#?}");
    let after = scene.runs(&old).await?;
    ensure!(after == before, "{before:?} {after:?}");
    Ok(())
}

/// Swarm stops, and the new spec stays; a better one goes on from there.
pub async fn a_crashing_update_is_paused_where_the_policy_says_so<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 2);
    scene.running(&old).await?;
    let mut new = crashing(&scene, 2);
    new.update.failure_action = FailureAction::Pause;
    scene.update(&new).await?;
    let (service, _) = scene.reaches(&new, UpdateState::Paused).await?;
    ensure!(service.labels == new.labels && service.spec_hash == Some(new.spec_hash));
    let told = service.update.map(|update| update.message).unwrap_or_default();
    ensure!(told.contains("failure or early termination of task"), "{told}");
    // What an update then does, while its tasks keep ending, is no case: SwarmKit may lose a replica
    // over it, and say `completed`.
    Ok(())
}

/// `docker service rollback`: the spec before, with its own status; once more, and it is undone.
pub async fn a_rollback_by_hand_brings_the_previous_spec_back<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 1);
    let before = scene.running(&old).await?;
    let new = scene.spec(Image::Better, 1);
    scene.update(&new).await?;
    scene.reaches(&new, UpdateState::Completed).await?;
    ensure!(stage.roll_back(&old.name).await?);
    let service = scene.service(&old.name).await?;
    ensure!(service.labels == old.labels, "{service:#?}");
    ensure!(update(&service) == Some(UpdateState::RollbackStarted), "{service:#?}");
    scene.reaches(&old, UpdateState::RollbackCompleted).await?;
    let after = scene.runs(&old).await?;
    ensure!(after != before);
    ensure!(stage.roll_back(&old.name).await?);
    ensure!(scene.service(&old.name).await?.labels == new.labels);
    Ok(())
}

/// A rollback is never rolled back.
pub async fn a_rollback_that_fails_is_paused<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    scene.running(&scene.spec(Image::Good, 1)).await?;
    let mut bad = crashing(&scene, 1);
    bad.update.failure_action = FailureAction::Pause;
    scene.update(&bad).await?;
    scene.reaches(&bad, UpdateState::Paused).await?;
    let better = scene.spec(Image::Better, 1);
    scene.update(&better).await?;
    scene.runs(&better).await?;
    ensure!(stage.roll_back(&bad.name).await?);
    let (service, _) = scene.reaches(&bad, UpdateState::RollbackPaused).await?;
    ensure!(service.labels == bad.labels, "{service:#?}");
    Ok(())
}

/// What failed under the old update does not count against the new one.
pub async fn a_newer_update_takes_over_from_a_failing_one<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 1);
    scene.running(&old).await?;
    let bad = scene.spec(Image::Unhealthy, 1);
    scene.update(&bad).await?;
    scene
        .until("a bad task to start", &bad, |_, tasks| {
            of(tasks, &bad).any(|task| task.state == TaskState::Starting)
        })
        .await?;
    let better = scene.spec(Image::Better, 1);
    scene.update(&better).await?;
    let (service, tasks) = scene.reaches(&better, UpdateState::Completed).await?;
    ensure!(service.labels == better.labels);
    ensure!(running(&tasks, &better).count() == 1 && wanted(&tasks).count() == 1, "{tasks:#?}");
    Ok(())
}
