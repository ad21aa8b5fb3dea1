//! Services: created, named, scaled, counted and removed.

use std::time::Duration;

use anyhow::ensure;
use orchestrator::swarm::{MountedFile, Swarm as _, SwarmError, TaskState};

use super::scene::{Scene, alive, hash, running};
use super::{Image, Stage};
use crate::{Outcome, wait_for};

/// No UpdateStatus says that a creation has succeeded: tasks do.
pub async fn a_new_service_runs_every_replica_and_has_no_update_status<S: Stage>(
    stage: &S,
) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Good, 2);
    let ids = scene.running(&spec).await?;
    let (service, tasks) = scene.look(&spec).await?;
    ensure!(service.labels == spec.labels && service.replicas == 2, "{service:#?}");
    ensure!(service.spec_hash.as_ref() == Some(&spec.spec_hash), "{service:#?}");
    ensure!(service.restart_counter == 0 && service.update.is_none(), "{service:#?}");
    let mut slots: Vec<i64> = running(&tasks, &spec).map(|task| task.slot).collect();
    slots.sort_unstable();
    ensure!(slots == [1, 2], "{tasks:#?}");
    for task in running(&tasks, &spec) {
        let is_whole = task.node.is_some() && task.container.is_some();
        ensure!(is_whole && task.error.is_none() && task.exit_code.is_none(), "{task:#?}");
        ensure!(task.created_at.is_some(), "{task:#?}");
    }
    // The same by its name.
    ensure!(scene.swarm().tasks(&spec.name).await?.len() == ids.len());
    scene.stays(&spec, &ids).await
}

/// Of two creations one wins.
pub async fn a_name_is_taken_once<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Good, 0);
    scene.swarm().service_create(&spec).await?;
    let again = scene.swarm().service_create(&scene.spec(Image::Better, 1)).await;
    ensure!(matches!(&again, Err(SwarmError::NameTaken(name)) if *name == spec.name), "{again:?}");
    ensure!(scene.service(&spec.name).await?.labels == spec.labels, "the first one stays");
    Ok(())
}

/// Absence is an answer, and removing it again is fine.
pub async fn what_is_not_there_is_said_so<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Good, 1);
    let swarm = scene.swarm();
    ensure!(swarm.service(&spec.name).await?.is_none());
    ensure!(swarm.tasks(&spec.name).await?.is_empty());
    swarm.service_remove(&spec.name).await?;
    let update = swarm.service_update(&spec.name, 1, &spec).await;
    ensure!(matches!(update, Err(SwarmError::NotFound(_))), "{update:?}");
    ensure!(swarm.image_on_node(Image::Missing.name()).await?.is_none());
    let image = swarm.image_on_node(Image::Good.name()).await?;
    ensure!(image.is_some_and(|image| image.id.starts_with("sha256:")));
    Ok(())
}

/// Its tasks are seen no more, and another service may have its name at once.
pub async fn a_removed_service_leaves_its_name<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Good, 1);
    let before = scene.running(&spec).await?;
    let id = scene.service(&spec.name).await?.id;
    scene.swarm().service_remove(&spec.name).await?;
    ensure!(scene.swarm().service(&spec.name).await?.is_none());
    ensure!(scene.swarm().tasks(&id).await?.is_empty());
    let stale = scene.swarm().service_update(&id, 1, &spec).await;
    ensure!(matches!(stale, Err(SwarmError::NotFound(_))), "{stale:?}");
    scene.swarm().service_create(&spec).await?;
    let after = scene.runs(&spec).await?;
    ensure!(after != before && scene.service(&spec.name).await?.id != id);
    Ok(())
}

/// Replicas that are not wanted any more end and are forgotten; the others are not touched.
pub async fn scaling_down_to_zero_ends_every_task<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let three = scene.spec(Image::Good, 3);
    let before = scene.running(&three).await?;
    let one = scene.spec(Image::Good, 1);
    scene.update(&one).await?;
    let kept = scene.runs(&one).await?;
    ensure!(before.contains(&kept[0]), "{before:?} {kept:?}");
    scene.until("the others to end", &one, |_, tasks| tasks.len() == 1).await?;
    scene.stays(&one, &kept).await?;
    let none = scene.spec(Image::Good, 0);
    scene.update(&none).await?;
    let (service, _) = scene
        .until("every task to end", &none, |_, tasks| {
            alive(tasks) == 0 && tasks.iter().all(|task| task.state.is_over())
        })
        .await?;
    ensure!(service.update.is_none() && service.replicas == 0, "{service:#?}");
    scene.update(&one).await?;
    let again = scene.runs(&one).await?;
    ensure!(again != kept);
    Ok(())
}

/// A network that is not there may come: Swarm calls that its own failure. A config's absence is the
/// spec's.
pub async fn a_spec_names_only_what_is_there<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let good = scene.spec(Image::Good, 0);
    let mut lost = good.clone();
    lost.task.network = "nosuchnetwork0000000000000".into();
    lost.spec_hash = hash(&lost.task);
    let mut bare = good.clone();
    bare.task.configs = vec![MountedFile {
        id: "nosuchconfig00000000000000".into(),
        name: "none".into(),
        path: "/none".into(),
        mode: 0o444,
    }];
    bare.spec_hash = hash(&bare.task);
    let swarm = scene.swarm();
    let create = swarm.service_create(&lost).await;
    ensure!(matches!(create, Err(SwarmError::Unavailable(_))), "{create:?}");
    let create = swarm.service_create(&bare).await;
    ensure!(matches!(create, Err(SwarmError::Refused(_))), "{create:?}");
    swarm.service_create(&good).await?;
    let service = scene.service(&good.name).await?;
    let update = swarm.service_update(&service.id, service.version, &lost).await;
    ensure!(matches!(update, Err(SwarmError::Unavailable(_))), "{update:?}");
    let update = swarm.service_update(&service.id, service.version, &bare).await;
    ensure!(matches!(update, Err(SwarmError::Refused(_))), "{update:?}");
    ensure!(scene.service(&good.name).await? == service, "nothing was written");
    Ok(())
}

/// One call counts every service of the platform, and none of another.
pub async fn counts_are_of_this_platform<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Good, 2);
    scene.running(&spec).await?;
    let platform = stage.platform();
    let counts = wait_for("the count", Duration::from_secs(20), async || {
        let counts = scene.swarm().service_counts(&platform).await?;
        Ok(counts.iter().any(|count| count.running == 2).then_some(counts))
    })
    .await?;
    ensure!(counts.len() == 1, "{counts:?}");
    ensure!(counts[0].name == spec.name && counts[0].service.labels == spec.labels, "{counts:?}");
    ensure!(counts[0].desired == 2, "{counts:?}");
    let service = scene.service(&spec.name).await?;
    ensure!(counts[0].service == service, "{counts:?} {service:?}");
    ensure!(service.image.as_deref() == Some(&*spec.task.image), "{service:?}");
    ensure!(scene.swarm().service_counts("no-platform").await?.is_empty());
    let task = &scene.swarm().tasks(&spec.name).await?[0];
    ensure!(task.state == TaskState::Running);
    Ok(())
}
