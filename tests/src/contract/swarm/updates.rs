//! Updates: which of them replace tasks, in which order, and what UpdateStatus tells of it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use model::update_policy::{FailureAction, UpdateOrder};
use orchestrator::swarm::{Swarm as _, SwarmError, UpdateState};

use super::scene::{Scene, alive, of, running, update, wanted};
use super::{Image, Stage};
use crate::Outcome;

/// `updating`, then `completed`; the new labels at once, the old tasks until the new ones run.
pub async fn start_first_replaces_every_task_and_never_runs_fewer<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 2);
    let before = scene.running(&old).await?;
    let new = scene.spec(Image::Better, 2);
    scene.update(&new).await?;
    ensure!(scene.service(&new.name).await?.labels == new.labels);
    let (mut was_updating, mut fewest, mut most_new) = (false, 2, 0);
    let (service, tasks) = scene
        .until("the update's end", &new, |service, tasks| {
            was_updating |= update(service) == Some(UpdateState::Updating);
            fewest = fewest.min(alive(tasks));
            let on_their_way = of(tasks, &new).filter(|task| !task.state.is_over());
            most_new = most_new.max(
                on_their_way
                    .filter(|task| task.state < orchestrator::swarm::TaskState::Running)
                    .count(),
            );
            update(service) == Some(UpdateState::Completed)
        })
        .await?;
    ensure!(was_updating && fewest == 2 && most_new == 1, "{was_updating} {fewest} {most_new}");
    ensure!(running(&tasks, &new).count() == 2 && wanted(&tasks).count() == 2, "{tasks:#?}");
    ensure!(running(&tasks, &new).all(|task| !before.contains(&task.id)), "{tasks:#?}");
    let told = service.update.map(|update| update.message).unwrap_or_default();
    ensure!(!told.is_empty());
    Ok(())
}

/// The old task ends before the new one starts.
pub async fn stop_first_never_runs_more<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 2);
    scene.running(&old).await?;
    let mut new = scene.spec(Image::Better, 2);
    new.update.order = UpdateOrder::StopFirst;
    scene.update(&new).await?;
    let (mut fewest, mut most) = (2, 2);
    scene
        .until("the update's end", &new, |service, tasks| {
            fewest = fewest.min(alive(tasks));
            most = most.max(alive(tasks));
            update(service) == Some(UpdateState::Completed)
        })
        .await?;
    ensure!(fewest == 1 && most == 2, "between {fewest} and {most} ran");
    scene.runs(&new).await?;
    Ok(())
}

/// Versions rise with every write, Swarm's own included; only the newest can be updated.
pub async fn a_stale_version_is_out_of_sequence<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Good, 0);
    scene.swarm().service_create(&spec).await?;
    let first = scene.service(&spec.name).await?;
    spec.labels.insert("step".into(), "1".into());
    scene.swarm().service_update(&first.id, first.version, &spec).await?;
    let second = scene.service(&spec.name).await?;
    ensure!(second.version > first.version && second.id == first.id);
    spec.labels.insert("step".into(), "2".into());
    for version in [first.version, second.version + 1] {
        let stale = scene.swarm().service_update(&first.id, version, &spec).await;
        ensure!(matches!(stale, Err(SwarmError::OutOfSequence)), "{stale:?}");
    }
    ensure!(scene.service(&spec.name).await? == second, "nothing was written");
    Ok(())
}

/// Service labels are no part of a task.
pub async fn new_labels_change_no_task<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Good, 1);
    let tasks = scene.running(&spec).await?;
    spec.labels.insert("step".into(), "1".into());
    scene.update(&spec).await?;
    ensure!(scene.service(&spec.name).await?.labels == spec.labels);
    scene.stays(&spec, &tasks).await
}

/// Scaling adds tasks and touches none.
pub async fn more_replicas_change_no_task<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let before = scene.running(&scene.spec(Image::Good, 1)).await?;
    let two = scene.spec(Image::Good, 2);
    scene.update(&two).await?;
    let after = scene.runs(&two).await?;
    ensure!(after.contains(&before[0]), "{before:?} {after:?}");
    scene.stays(&two, &after).await
}

/// How updates go is no part of a task.
pub async fn another_policy_changes_no_task<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Good, 1);
    let tasks = scene.running(&spec).await?;
    spec.update.delay = Duration::from_secs(3);
    spec.update.failure_action = FailureAction::Pause;
    spec.rollback.order = UpdateOrder::StopFirst;
    scene.update(&spec).await?;
    scene.stays(&spec, &tasks).await
}

/// A part of the spec that is another has another hash; replicas and the health check have none, and an update of
/// tasks has its time.
pub async fn what_somebody_changes_is_told_by_part_or_by_time<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Good, 1);
    scene.running(&spec).await?;
    let first = scene.service(&spec.name).await?.fingerprint();
    ensure!(first.updated_at.is_none(), "{first:?}");

    spec.replicas = 2;
    spec.labels.insert("step".into(), "1".into());
    scene.update(&spec).await?;
    scene.runs(&spec).await?;
    let labelled = scene.service(&spec.name).await?.fingerprint();
    ensure!(first.changed_parts(&labelled).collect::<Vec<_>>() == ["Labels"], "{labelled:?}");
    ensure!(!first.is_before_the_update_of(&labelled), "{labelled:?}");

    spec.task.env.insert("KEY".into(), "secret".into());
    scene.update(&spec).await?;
    let (service, _) = scene.reaches(&spec, UpdateState::Completed).await?;
    let added = service.fingerprint();
    let parts: Vec<&str> = labelled.changed_parts(&added).collect();
    ensure!(parts == ["TaskTemplate.ContainerSpec.Env"], "{parts:?}");
    ensure!(labelled.is_before_the_update_of(&added), "{added:?}");

    let check = spec.task.health_check.as_mut();
    check.context("no health check")?.retries += 1;
    scene.update(&spec).await?;
    let (service, _) = scene.reaches(&spec, UpdateState::Updating).await?;
    let begun = service.fingerprint();
    ensure!(added.changed_parts(&begun).next().is_none(), "{begun:?}");
    ensure!(added.is_before_the_update_of(&begun), "{begun:?}");
    let (service, _) = scene.reaches(&spec, UpdateState::Completed).await?;
    ensure!(!begun.is_before_the_update_of(&service.fingerprint()), "{service:?}");
    Ok(())
}

/// Sent again after its rollout, a spec costs the status and the way back.
pub async fn the_same_spec_again_changes_no_task_and_forgets_the_status<S: Stage>(
    stage: &S,
) -> Outcome {
    let scene = Scene::set(stage).await?;
    scene.running(&scene.spec(Image::Good, 1)).await?;
    let new = scene.spec(Image::Better, 1);
    scene.update(&new).await?;
    scene.reaches(&new, UpdateState::Completed).await?;
    let tasks = scene.runs(&new).await?;
    scene.update(&new).await?;
    scene.stays(&new, &tasks).await?;
    // What a rollback brings back now is the same spec.
    ensure!(stage.roll_back(&new.name).await?);
    let (service, after) = scene.reaches(&new, UpdateState::RollbackCompleted).await?;
    ensure!(service.labels == new.labels, "{service:#?}");
    ensure!(wanted(&after).all(|task| tasks.contains(&task.id)), "{after:#?}");
    Ok(())
}

/// Sent again during its rollout, too: the rollout goes on, and nobody says so.
pub async fn the_same_spec_again_leaves_a_rollout_going_without_its_status<S: Stage>(
    stage: &S,
) -> Outcome {
    let scene = Scene::set(stage).await?;
    scene.running(&scene.spec(Image::Good, 2)).await?;
    let new = scene.spec(Image::Better, 2);
    scene.update(&new).await?;
    scene
        .until("the first new task", &new, |service, tasks| {
            update(service) == Some(UpdateState::Updating) && of(tasks, &new).count() > 0
        })
        .await?;
    scene.update(&new).await?;
    let tasks = scene.runs(&new).await?;
    scene.stays(&new, &tasks).await
}

/// Another spec of the same tasks: the rollout begins anew and has its status.
pub async fn new_labels_begin_a_rollout_anew<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    scene.running(&scene.spec(Image::Good, 2)).await?;
    let mut new = scene.spec(Image::Better, 2);
    scene.update(&new).await?;
    scene.until("the first new task", &new, |_, tasks| of(tasks, &new).count() > 0).await?;
    new.labels.insert("step".into(), "1".into());
    scene.update(&new).await?;
    scene.reaches(&new, UpdateState::Updating).await?;
    let (service, tasks) = scene.reaches(&new, UpdateState::Completed).await?;
    ensure!(service.labels == new.labels);
    ensure!(running(&tasks, &new).count() == 2 && wanted(&tasks).count() == 2, "{tasks:#?}");
    Ok(())
}

/// A restart is an update like any other, of tasks that only the counter tells apart.
pub async fn a_raised_restart_counter_replaces_tasks_of_the_same_spec<S: Stage>(
    stage: &S,
) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 1);
    let before = scene.running(&old).await?;
    let mut new = old.clone();
    new.restart_counter = 1;
    scene.update(&new).await?;
    let (service, _) = scene.reaches(&new, UpdateState::Completed).await?;
    ensure!(service.restart_counter == 1 && service.spec_hash == Some(old.spec_hash));
    let after = scene.runs(&new).await?;
    ensure!(after != before);
    Ok(())
}
