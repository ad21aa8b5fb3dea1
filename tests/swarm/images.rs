//! Images from a registry: the digest is resolved once, and a tag that moves moves nothing of ours.

use bollard::query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures::TryStreamExt;
use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::environment::environment;
use tests::{Outcome, run};

use crate::specs::{image, web};

/// Pushes a version of the sample app under this repository's tag `stable`.
async fn push(engine: &Engine, version: &str, repository: &str) -> anyhow::Result<()> {
    let docker = engine.client();
    let tag = TagImageOptionsBuilder::new().repo(repository).tag("stable").build();
    docker.tag_image(&image(version), Some(tag)).await?;
    let options = PushImageOptionsBuilder::new().tag("stable").build();
    let progress = docker.push_image(repository, Some(options), None);
    for step in progress.try_collect::<Vec<_>>().await? {
        anyhow::ensure!(step.error_detail.is_none(), "{step:?}");
    }
    Ok(())
}

#[test]
fn an_old_release_runs_its_old_digest_though_the_tag_has_moved() -> Outcome {
    run(async |skep| {
        let registry = environment().registry()?;
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let repository = format!("{registry}/{}/demo", skep.platform());
        push(&engine, "v1", &repository).await?;
        let mut spec = web("v1");
        spec["image"] = format!("{repository}:stable").into();
        let app = acme.create_app("web", spec).await?;
        let id = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        let first = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        let resolved = text(&first, "/resolved_image")?;
        assert!(resolved.starts_with(&format!("{repository}@sha256:")), "{resolved}");
        assert_eq!(first["image"], format!("{repository}:stable"), "as it was written");
        let tasks = engine.running_ids(id).await?;

        push(&engine, "v2", &repository).await?;
        let again = acme.deploy("web", json!({ "release": 1, "force": true })).await?;
        acme.wait_for(&again, "succeeded", "live").await?;
        assert_ne!(engine.running_ids(id).await?, tasks, "it was restarted");
        let service = engine.service_of(id).await?.unwrap();
        assert_eq!(service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], resolved);
        let (_, answer) = engine.ask_from(id, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v1");

        // A new release of the same tag is what the tag is now.
        acme.deploy_live("web", json!({})).await?;
        let (_, answer) = engine.ask_from(id, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v2");
        let second = acme.client.get(&acme.path("apps/web/releases/2")).await?.expect(200)?;
        assert_ne!(second["resolved_image"], first["resolved_image"]);
        engine.delete(&format!("/images/{repository}:stable")).await?;
        Ok(())
    })
}
