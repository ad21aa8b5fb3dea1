//! Retention's other half: images that no release needs leave the node, and no others do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, TagImageOptionsBuilder};
use orchestrator::Retention;
use orchestrator::swarm::DockerSwarm;
use serde_json::Value;
use tests::answer::text;
use tests::docker::Engine;
use tests::environment::environment;
use tests::images::Repository;
use tests::specs::web;
use tests::{Outcome, Skep, Tenant, run, sql, wait_until};

/// Writes down releases of an app, from number 1 on, as if each had been deployed.
async fn releases(skep: &Skep, app: &Value, images: &[&String]) -> Outcome {
    let owner = skep.database.owner();
    let id = uuid(skep, app).await?;
    for (number, image) in (1..).zip(images) {
        let insert = format!(
            "INSERT INTO releases
                 (id, organization_id, app_id, number, spec, spec_version, resolved_image)
             SELECT gen_random_uuid(), organization_id, id, {number}, spec, spec_version, '{image}'
             FROM apps WHERE id = '{id}'"
        );
        assert_eq!(sql::execute(owner, &insert).await?, 1);
    }
    let newest = images.len();
    let update = format!("UPDATE apps SET last_release = {newest} WHERE id = '{id}'");
    assert_eq!(sql::execute(owner, &update).await?, 1);
    Ok(())
}

/// The app's id as Postgres has it.
async fn uuid(skep: &Skep, app: &Value) -> Result<String> {
    let slug = text(app, "/slug")?;
    let found = format!("SELECT id FROM apps WHERE slug = '{slug}'");
    Ok(text(&sql::row(skep.database.owner(), &found).await?, "/id")?.to_owned())
}

async fn app(acme: &Tenant, slug: &str) -> Result<Value> {
    acme.create_app(slug, web("v1")).await
}

/// Those of these images that the node has, by their places.
async fn there(repository: &Repository, images: &[String]) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for (place, image) in images.iter().enumerate() {
        if repository.has(image).await? {
            found.insert(place);
        }
    }
    Ok(found)
}

#[test]
fn images_that_no_release_needs_leave_the_node_and_no_others_do() -> Outcome {
    run(async |skep| {
        let engine = Engine::connect()?;
        let name = format!("{}/{}/kept", environment().registry()?, skep.platform());
        let repository = Repository::new(engine.clone(), name.clone());
        let mut images = Vec::new();
        for number in 0..20 {
            let image = repository.push(&format!("v{number}"), 512).await?;
            repository.pull(&image).await?;
            images.push(image);
        }
        let local = repository.make("local", 512).await?;

        let acme = skep.tenant("acme").await?;
        // Fourteen releases: the first four are past retention.
        let web = app(&acme, "web").await?;
        releases(skep, &web, &images[..14].iter().collect::<Vec<_>>()).await?;
        // The first is live still: thirteen deployments after it failed.
        let live = "UPDATE apps SET live_release_id = releases.id FROM releases
             WHERE releases.app_id = apps.id AND number = 1";
        assert_eq!(sql::execute(skep.database.owner(), live).await?, 1);
        // The second is what another app could be rolled back to.
        let other = app(&acme, "other").await?;
        releases(skep, &other, &[&images[1]]).await?;
        // The third nobody needs. Of the fourth there is a container.
        let body = ContainerCreateBody {
            image: Some(images[3].clone()),
            cmd: Some(vec!["/content".into()]),
            ..ContainerCreateBody::default()
        };
        let docker = engine.client();
        let container = docker.create_container(None::<CreateContainerOptions>, body).await?.id;
        // An app that was removed two days ago: one image of it somebody has tagged, one is local.
        let old = app(&acme, "old").await?;
        releases(skep, &old, &[&images[14], &images[15], &local]).await?;
        let tag = TagImageOptionsBuilder::new().repo(&name).tag("mine").build();
        docker.tag_image(&images[15], Some(tag)).await?;
        let recent = app(&acme, "recent").await?;
        releases(skep, &recent, &[&images[16]]).await?;
        for (app, ago) in [(&old, "2 days"), (&recent, "1 hour")] {
            let removed = format!(
                "UPDATE apps SET removed_at = now() - interval '{ago}' WHERE id = '{}'",
                uuid(skep, app).await?
            );
            assert_eq!(sql::execute(skep.database.owner(), &removed).await?, 1);
        }
        // The last three no release ever had.

        let swarm = Arc::new(DockerSwarm::connect(&environment().docker_host, None)?);
        let retention = Retention { database: skep.database.worker().clone(), swarm };
        for host in retention.swarm.hosts() {
            retention.round(host).await.map_err(anyhow::Error::from_boxed)?;
        }
        let all: BTreeSet<usize> = (0..images.len()).collect();
        let kept = &all - &BTreeSet::from([2, 14]);
        assert_eq!(there(&repository, &images).await?, kept);
        assert!(repository.has(&local).await?, "it exists nowhere else");

        // A worker does the same by itself; the container is gone by now.
        assert!(engine.delete(&format!("/containers/{container}")).await?);
        skep.start_worker().await?;
        wait_until("the fourth to leave", Duration::from_secs(30), async || {
            Ok(!repository.has(&images[3]).await?)
        })
        .await?;
        assert_eq!(there(&repository, &images).await?, &kept - &BTreeSet::from([3]));

        engine.delete(&format!("/images/{name}:mine")).await?;
        engine.delete(&format!("/images/{local}")).await?;
        for image in &images {
            engine.delete(&format!("/images/{image}")).await?;
        }
        Ok(())
    })
}
