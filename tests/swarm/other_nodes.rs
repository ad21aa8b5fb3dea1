//! What only a node's own daemon knows: the images on it, and how its containers ended.

use std::time::Duration;

use anyhow::Result;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use futures::TryStreamExt as _;
use orchestrator::swarm::{DockerSwarm, Swarm as _, Task, TaskState};
use tests::docker::Engine;
use tests::environment::environment;
use tests::images::Repository;
use tests::node::SecondNode;
use tests::specs::{image, web};
use tests::{Outcome, Skep, run, sql, wait_until};

/// Where no daemon answers: the other end of a tunnel that is down.
const NOBODY: &str = "unix:///run/skep-no-such-socket";

/// A container of the sample app that leaks until the kernel ends it.
async fn killed_for_memory(engine: &Engine, image: &str) -> Result<String> {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        env: Some(vec!["APP_LEAK=300".to_owned()]),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            // As a replica's: one that is killed while it starts, dockerd does not call killed for memory.
            memory: Some(256 << 20),
            memory_swap: Some(256 << 20),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let docker = engine.client();
    let id = docker.create_container(None::<CreateContainerOptions>, body).await?.id;
    docker.start_container(&id, None::<StartContainerOptions>).await?;
    // A container that ended with anything but 0 is an error of bollard's.
    let ended = docker.wait_container(&id, None::<WaitContainerOptions>).try_collect::<Vec<_>>();
    let told = tokio::time::timeout(Duration::from_secs(60), ended).await?;
    assert!(format!("{told:?}").contains("137"), "{told:?}");
    Ok(id)
}

/// A task of that container, as the swarm would tell of it.
fn task_of(container: String) -> Task {
    Task {
        id: "none".into(),
        slot: 1,
        node: Some("other".into()),
        state: TaskState::Failed,
        desired: TaskState::Shutdown,
        created_at: None,
        ended_at: None,
        error: None,
        exit_code: Some(137),
        container: Some(container),
        spec_hash: None,
        restart_counter: 0,
    }
}

/// Writes down that an app's first release was resolved to an image.
async fn released(skep: &Skep, slug: &str, image: &str) -> Outcome {
    let insert = format!(
        "INSERT INTO releases
             (id, organization_id, app_id, number, spec, spec_version, resolved_image)
         SELECT gen_random_uuid(), organization_id, id, 1, spec, spec_version, '{image}'
         FROM apps WHERE slug = '{slug}'"
    );
    assert_eq!(sql::execute(skep.database.owner(), &insert).await?, 1);
    Ok(())
}

#[test]
fn images_leave_every_node_and_every_nodes_containers_are_asked() -> Outcome {
    run(async |skep| {
        let node = SecondNode::start().await?;
        let name = format!("{}/{}/spread", environment().registry()?, skep.platform());
        let here = Repository::new(Engine::connect()?, name.clone());
        let there = Repository::new(node.engine.clone(), name);
        let (old, kept) = (here.push("old", 512).await?, here.push("kept", 512).await?);
        let sample = here.push_copy(&image("v1"), "sample").await?;
        for image in [&old, &kept] {
            here.pull(image).await?;
            there.pull(image).await?;
        }
        there.pull(&sample).await?;

        // How a container ended, its own node tells; one that does not answer keeps nobody from that.
        let task = task_of(killed_for_memory(&node.engine, &sample).await?);
        let alone = DockerSwarm::connect(&environment().docker_host, None)?;
        assert!(!alone.autopsy(&task).await.out_of_memory, "that node was not asked");
        let hosts = [NOBODY.to_owned(), node.host.clone()];
        assert!(alone.with_hosts(&hosts)?.autopsy(&task).await.out_of_memory);

        let acme = skep.tenant("acme").await?;
        for (slug, image) in [("gone", &old), ("web", &kept)] {
            acme.create_app(slug, web("v1")).await?;
            released(skep, slug, image).await?;
        }
        let removed = "UPDATE apps SET removed_at = now() - interval '2 days' WHERE slug = 'gone'";
        assert_eq!(sql::execute(skep.database.owner(), removed).await?, 1);
        skep.start_worker_with_hosts(&[NOBODY, &node.host]).await?;
        wait_until("the old image to leave both nodes", Duration::from_secs(30), async || {
            Ok(!here.has(&old).await? && !there.has(&old).await?)
        })
        .await?;
        assert!(here.has(&kept).await? && there.has(&kept).await?, "a release needs it");
        let log = skep.workers().await[0].log();
        let told =
            |of: &str| log.iter().any(|line| line.contains("stay for now") && line.contains(of));
        assert!(told(NOBODY) && !told(&node.host), "{log:#?}");

        node.stop().await
    })
}
