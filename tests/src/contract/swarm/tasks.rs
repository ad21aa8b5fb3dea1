//! Tasks: rejected, crashed, unhealthy, without a node.

use anyhow::{Context as _, ensure};
use model::spec::RestartCondition;
use orchestrator::swarm::{Swarm as _, Task, TaskState};

use super::scene::{Scene, hash, of, update, wanted};
use super::{Image, Stage};
use crate::Outcome;

/// A creation that fails says so in its tasks only, and is tried for ever.
pub async fn a_missing_image_is_rejected<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Missing, 1);
    scene.swarm().service_create(&spec).await?;
    let rejected = |task: &&Task| task.state == TaskState::Rejected;
    let (service, tasks) = scene
        .until("two tries", &spec, |_, tasks| tasks.iter().filter(rejected).count() >= 2)
        .await?;
    ensure!(service.update.is_none(), "{service:#?}");
    for task in tasks.iter().filter(rejected) {
        let error = task.error.as_deref().unwrap_or_default();
        ensure!(error.contains("No such image"), "{task:#?}");
        ensure!(task.slot == 1 && task.node.is_some() && task.container.is_none(), "{task:#?}");
    }
    Ok(())
}

/// The slot stays, the task is another, and Swarm keeps no more than five.
pub async fn a_crash_is_restarted_in_its_slot<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Crashing, 1);
    let first = scene.running(&spec).await?;
    let crashed = |task: &Task| first.contains(&task.id) && task.state == TaskState::Failed;
    let (_, tasks) = scene.until("a crash", &spec, |_, tasks| tasks.iter().any(crashed)).await?;
    let dead = tasks.iter().find(|task| crashed(task)).context("no crash")?.clone();
    ensure!(dead.exit_code == Some(1), "{dead:#?}");
    ensure!(dead.ended_at.is_some() && dead.ended_at > dead.created_at, "{dead:#?}");
    let error = dead.error.as_deref().unwrap_or_default();
    ensure!(error.contains("non-zero exit (1)"), "{dead:#?}");
    let autopsy = scene.swarm().autopsy(&dead).await;
    ensure!(autopsy.log.iter().any(|line| line.contains("giving up")), "{autopsy:#?}");
    ensure!(!autopsy.out_of_memory, "{autopsy:#?}");
    let (service, tasks) = scene
        .until("another task", &spec, |_, tasks| {
            wanted(tasks).any(|task| task.id != dead.id && task.state == TaskState::Running)
        })
        .await?;
    ensure!(service.update.is_none(), "{service:#?}");
    let next = wanted(&tasks).next().context("no task")?;
    ensure!(next.ended_at.is_none(), "{next:#?}");
    ensure!(next.slot == dead.slot && next.created_at > dead.created_at, "{tasks:#?}");
    let before = tasks.iter().find(|task| task.id == dead.id).context("it was forgotten")?;
    ensure!(before.desired == TaskState::Shutdown, "{before:#?}");
    Ok(())
}

/// That it ended by its health check, only the check's own words tell. It may be RUNNING for a
/// moment: the node's agent takes a process that ended with 0 for started, and looks at its end
/// afterwards.
pub async fn an_unhealthy_task_ends_with_its_probes_last_word<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Unhealthy, 1);
    scene.swarm().service_create(&spec).await?;
    let (_, tasks) = scene
        .until("its end", &spec, |_, tasks| tasks.iter().any(|task| task.state.is_over()))
        .await?;
    let dead = tasks.iter().find(|task| task.state.is_over()).context("none ended")?;
    ensure!(dead.state == TaskState::Complete && dead.exit_code == Some(0), "{dead:#?}");
    let autopsy = scene.swarm().autopsy(dead).await;
    let health = autopsy.health.as_deref().unwrap_or_default();
    ensure!(health.contains("500"), "{autopsy:#?}");
    Ok(())
}

/// RUNNING says little then.
pub async fn without_a_health_check_a_task_runs_at_once<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Unhealthy, 1);
    spec.task.health_check = None;
    spec.spec_hash = hash(&spec.task);
    let ids = scene.running(&spec).await?;
    scene.stays(&spec, &ids).await
}

/// PENDING, with Swarm's reason, for as long as it takes.
pub async fn a_task_that_no_node_takes_waits_and_says_why<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Good, 1);
    spec.task.constraints = vec!["node.labels.skep.test==none".into()];
    spec.spec_hash = hash(&spec.task);
    scene.swarm().service_create(&spec).await?;
    let (_, tasks) = scene
        .until("the reason", &spec, |_, tasks| tasks.iter().any(|task| task.error.is_some()))
        .await?;
    let waits = &tasks[0];
    ensure!(waits.state == TaskState::Pending && waits.node.is_none(), "{waits:#?}");
    let error = waits.error.as_deref().unwrap_or_default();
    ensure!(error.contains("no suitable node"), "{waits:#?}");
    let mut none = spec.clone();
    none.replicas = 0;
    scene.update(&none).await?;
    scene.until("it to be forgotten", &none, |_, tasks| tasks.is_empty()).await?;
    Ok(())
}

/// What it reserves counts, not what it may use.
pub async fn a_task_that_is_larger_than_every_node_waits_and_says_why<S: Stage>(
    stage: &S,
) -> Outcome {
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Good, 1);
    spec.task.memory_limit_bytes = 1 << 50;
    spec.task.memory_reserved_bytes = 1 << 50;
    spec.spec_hash = hash(&spec.task);
    scene.swarm().service_create(&spec).await?;
    let (_, tasks) = scene
        .until("the reason", &spec, |_, tasks| tasks.iter().any(|task| task.error.is_some()))
        .await?;
    let waits = &tasks[0];
    ensure!(waits.state == TaskState::Pending && waits.node.is_none(), "{waits:#?}");
    let error = waits.error.as_deref().unwrap_or_default();
    ensure!(error.contains("insufficient resources on"), "{waits:#?}");
    let most = scene.swarm().nodes().await?.iter().map(|node| node.free().memory_bytes).max();
    ensure!(most.is_some_and(|most| most < 1 << 50), "{most:?}");
    Ok(())
}

/// From the moment that they are there.
pub async fn nodes_tell_what_is_reserved_on_them<S: Stage>(stage: &S) -> Outcome {
    const EACH: i64 = 600 << 20;
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Good, 2);
    spec.task.memory_limit_bytes = EACH;
    spec.task.memory_reserved_bytes = EACH;
    spec.spec_hash = hash(&spec.task);
    scene.running(&spec).await?;
    let (_, tasks) = scene.look(&spec).await?;
    for node in scene.swarm().nodes().await? {
        let here = wanted(&tasks).filter(|task| task.node.as_ref() == Some(&node.id)).count();
        let least = EACH * i64::try_from(here)?;
        ensure!(node.reserved.memory_bytes >= least, "{node:#?} {tasks:#?}");
        ensure!(node.reserved.cpu_nanos >= i64::try_from(here)? * 1_000_000, "{node:#?}");
        ensure!(node.capacity.hold(node.reserved) && node.is_available, "{node:#?}");
        ensure!(node.os == "linux" && !node.arch.is_empty(), "{node:#?}");
    }
    Ok(())
}

/// Without ever having had a node.
pub async fn a_task_that_is_replaced_while_it_waits_ends<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let old = scene.spec(Image::Good, 1);
    scene.running(&old).await?;
    let mut stuck = scene.spec(Image::Better, 1);
    stuck.task.constraints = vec!["node.labels.skep.test==none".into()];
    stuck.spec_hash = hash(&stuck.task);
    scene.update(&stuck).await?;
    scene
        .until("a task without a node", &stuck, |_, tasks| {
            of(tasks, &stuck).any(|task| task.state == TaskState::Pending && task.error.is_some())
        })
        .await?;
    let better = scene.spec(Image::Better, 1);
    scene.update(&better).await?;
    scene.runs(&better).await?;
    let (_, tasks) = scene
        .until("the end of what waited", &better, |_, tasks| {
            of(tasks, &stuck).all(|task| task.state.is_over())
        })
        .await?;
    let left = of(&tasks, &stuck).next().context("it is forgotten")?;
    ensure!(left.state == TaskState::Shutdown && left.desired == TaskState::Shutdown, "{left:#?}");
    ensure!(left.node.is_none() && left.error.is_none(), "{left:#?}");
    Ok(())
}

/// `restart: none` leaves the slot as it ended.
pub async fn a_finished_task_is_not_restarted_where_the_policy_says_so<S: Stage>(
    stage: &S,
) -> Outcome {
    let scene = Scene::set(stage).await?;
    let mut spec = scene.spec(Image::Crashing, 1);
    spec.task.restart = RestartCondition::None;
    spec.spec_hash = hash(&spec.task);
    let ids = scene.running(&spec).await?;
    let (service, tasks) = scene
        .until("its end", &spec, |_, tasks| {
            tasks.iter().all(|task| task.state.is_over() && task.desired == TaskState::Shutdown)
        })
        .await?;
    ensure!(tasks.len() == 1 && tasks[0].id == ids[0], "{tasks:#?}");
    ensure!(update(&service).is_none(), "{service:#?}");
    Ok(())
}
