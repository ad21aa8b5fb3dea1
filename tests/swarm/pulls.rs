//! Pulls that do not end: the registry hangs in the middle of a blob.

use std::time::Duration;

use anyhow::Result;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, LogsOptionsBuilder, StartContainerOptions,
};
use futures::TryStreamExt as _;
use serde_json::json;
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::environment::environment;
use tests::images::Repository;
use tests::specs::{image, web};
use tests::{Outcome, Skep, run, wait_for};

/// More than any manifest, and less than the image's layer.
const PASSED: &str = "65536";
/// Bytes of the image's layer.
const LAYER: usize = 1 << 20;

/// Starts a registry that hangs after [`PASSED`] bytes, beside the daemon: the test itself cannot listen
/// in the daemon's network. Its container, and its port there.
async fn stalling_registry(engine: &Engine, registry: &str) -> Result<(String, u16)> {
    let docker = engine.client();
    let words = ["stall", "--port", "0", "--target", registry, "--bytes", PASSED];
    let body = ContainerCreateBody {
        image: Some(image("v1")),
        cmd: Some(words.map(String::from).to_vec()),
        host_config: Some(HostConfig {
            network_mode: Some("host".into()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let container = docker.create_container(None::<CreateContainerOptions>, body).await?.id;
    docker.start_container(&container, None::<StartContainerOptions>).await?;
    let port = wait_for("the stalling registry's port", Duration::from_secs(20), async || {
        let options = LogsOptionsBuilder::new().stdout(true).build();
        let lines: Vec<String> = docker
            .logs(&container, Some(options))
            .map_ok(|line| line.to_string())
            .try_collect()
            .await?;
        let said = lines.concat();
        Ok(said.trim().rsplit_once("port ").and_then(|(_, port)| port.parse().ok()))
    })
    .await?;
    Ok((container, port))
}

#[test]
fn a_registry_that_hangs_in_the_middle_of_a_blob_is_given_up() -> Outcome {
    run(async |skep| {
        let registry = environment().registry()?;
        let engine = Engine::connect()?;
        let name = format!("{}/stalled", skep.platform());
        let pushed = Repository::new(engine.clone(), format!("{registry}/{name}"));
        pushed.push("v1", LAYER).await?;
        let (container, port) = stalling_registry(&engine, registry).await?;
        let told = story(skep, &format!("127.0.0.1:{port}/{name}:v1")).await;
        engine.delete(&format!("/containers/{container}?force=1")).await?;
        told
    })
}

async fn story(skep: &Skep, image: &str) -> Outcome {
    skep.start_worker().await?;
    let acme = skep.tenant("acme").await?;
    let mut spec = web("v1");
    spec["image"] = image.into();
    spec["deadlines"] = json!({ "pull": 30 });
    acme.create_app("web", spec).await?;
    let bad = acme.deploy("web", json!({})).await?;
    let ended = acme.wait_for(&bad, "failed", "pull_deadline").await?;
    let sentence = text(&ended, "/reason/sentence")?;
    assert!(sentence.contains(image) && sentence.contains("within 30 s"), "{sentence}");
    let waited = list(&ended, "/evidence/tasks")?.iter().any(|task| task["state"] == "preparing");
    assert!(waited, "{ended:#}");
    Ok(())
}
