//! Networks and configs: made once, and silent where they fail.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use orchestrator::swarm::{ConfigSpec, Swarm as _, SwarmError, TaskState};
use tokio::time::{Instant, sleep};

use super::scene::{Scene, hash, labels, network, of};
use super::{Image, Stage};
use crate::{Outcome, wait_for, wait_until};

/// Made again, it is the same one, even where another subnet is asked for.
pub async fn a_network_is_made_once_and_shows_its_subnet<S: Stage>(stage: &S) -> Outcome {
    let swarm = stage.swarm();
    let spec = network(stage, "two", 1)?;
    ensure!(swarm.network(&spec.name).await?.is_none());
    swarm.network_create(&spec).await?;
    let made = wait_for("its subnet", Duration::from_secs(20), async || {
        Ok(swarm.network(&spec.name).await?.filter(|found| !found.subnets.is_empty()))
    })
    .await?;
    ensure!(made.subnets == [spec.subnet.to_string()] && made.encrypted, "{made:#?}");
    ensure!(made.labels == spec.labels, "{made:#?}");
    let listed = swarm.networks(&stage.platform()).await?;
    ensure!(listed.len() == 1 && listed[0].name == spec.name, "{listed:#?}");
    ensure!(listed[0].labels == spec.labels, "{listed:#?}");
    ensure!(swarm.networks("no-platform").await?.is_empty());
    swarm.network_create(&network(stage, "two", 2)?).await?;
    ensure!(swarm.network(&spec.name).await?.as_ref() == Some(&made));
    swarm.network_remove(&made.id).await?;
    ensure!(swarm.network(&spec.name).await?.is_none());
    ensure!(swarm.networks(&stage.platform()).await?.is_empty());
    swarm.network_remove(&made.id).await?;
    Ok(())
}

/// Swarm says that it made it, and never says more.
pub async fn an_overlapping_network_gets_no_subnet_and_its_tasks_no_address<S: Stage>(
    stage: &S,
) -> Outcome {
    let scene = Scene::set(stage).await?;
    let swarm = scene.swarm();
    let spec = network(stage, "overlapping", 0)?;
    swarm.network_create(&spec).await?;
    let made = swarm.network(&spec.name).await?.context("it is there")?;
    let mut service = scene.spec(Image::Good, 1);
    service.task.network = made.id.clone();
    service.spec_hash = hash(&service.task);
    swarm.service_create(&service).await?;
    scene.until("its task", &service, |_, tasks| !tasks.is_empty()).await?;
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        let found = swarm.network(&spec.name).await?.context("it is there")?;
        ensure!(found.subnets.is_empty(), "{found:#?}");
        let (_, tasks) = scene.look(&service).await?;
        let waits = tasks.iter().all(|task| task.state == TaskState::New && task.error.is_none());
        ensure!(waits, "{tasks:#?}");
        sleep(Duration::from_millis(50)).await;
    }
    let mut none = service.clone();
    none.replicas = 0;
    scene.update(&none).await?;
    scene.until("its task to go", &none, |_, tasks| tasks.is_empty()).await?;
    swarm.service_remove(&service.name).await?;
    swarm.network_remove(&made.id).await?;
    ensure!(swarm.network(&spec.name).await?.is_none());
    Ok(())
}

/// It stays NEW, wanted shut down, when everything else of its service has ended: whoever waits for
/// the last task's end must not wait for this one.
pub async fn a_task_that_is_replaced_while_it_waits_for_an_address_never_ends<S: Stage>(
    stage: &S,
) -> Outcome {
    let scene = Scene::set(stage).await?;
    let swarm = scene.swarm();
    let spec = network(stage, "overlapping", 0)?;
    swarm.network_create(&spec).await?;
    let made = swarm.network(&spec.name).await?.context("it is there")?;
    let mut stuck = scene.spec(Image::Good, 1);
    stuck.task.network = made.id.clone();
    stuck.spec_hash = hash(&stuck.task);
    swarm.service_create(&stuck).await?;
    scene.until("its task", &stuck, |_, tasks| !tasks.is_empty()).await?;
    scene.update(&scene.spec(Image::Good, 1)).await?;
    scene.runs(&scene.spec(Image::Good, 1)).await?;
    let none = scene.spec(Image::Good, 0);
    scene.update(&none).await?;
    let (_, tasks) = scene
        .until("the end of what ran", &none, |_, tasks| {
            of(tasks, &none).all(|task| task.state.is_over())
        })
        .await?;
    let left = of(&tasks, &stuck).next().context("it is forgotten")?;
    ensure!(left.state == TaskState::New && left.desired == TaskState::Shutdown, "{left:#?}");
    swarm.service_remove(&none.name).await?;
    swarm.network_remove(&made.id).await?;
    Ok(())
}

/// A network goes after the last service on it. It is shown until their tasks are gone, too, but no
/// spec can name it.
pub async fn a_network_in_use_stays<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let spec = scene.spec(Image::Good, 1);
    scene.running(&spec).await?;
    let swarm = scene.swarm();
    let refused = swarm.network_remove(&spec.task.network).await;
    ensure!(refused.is_err(), "{refused:?}");
    let name = network(stage, "network", 0)?.name;
    ensure!(swarm.network(&name).await?.is_some());
    swarm.service_remove(&spec.name).await?;
    swarm.network_remove(&spec.task.network).await?;
    let late = swarm.service_create(&spec).await;
    ensure!(matches!(late, Err(SwarmError::Unavailable(_))), "{late:?}");
    wait_until("it to be forgotten", Duration::from_secs(30), async || {
        Ok(swarm.network(&name).await?.is_none())
    })
    .await
}

/// By its name: what it holds is part of that.
pub async fn a_config_is_made_once<S: Stage>(stage: &S) -> Outcome {
    let swarm = stage.swarm();
    let config = |name: &str| ConfigSpec {
        name: format!("{}-{name}", stage.platform()),
        content: b"once",
        labels: labels(stage, name),
    };
    let id = swarm.config_ensure(&config("one")).await?;
    ensure!(swarm.config_ensure(&config("one")).await? == id);
    // Docker looks for names by their beginning.
    ensure!(swarm.config_ensure(&config("on")).await? != id);
    Ok(())
}
