//! Removal: it ends with nothing of the app left in Swarm.

use std::time::Duration;

use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run, sql, wait_until};

use crate::specs::web;

#[test]
fn leaves_nothing_of_the_app_in_swarm() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        let id = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        let container = engine.container_of(id).await?;
        let removal = acme.remove("web").await?;
        acme.wait_for(&removal, "succeeded", "removed").await?;
        assert_eq!(engine.service_of(id).await?, None);
        let left = engine.find(&format!("/containers/{container}/json")).await?;
        assert!(
            left.is_none_or(|container| container["State"]["Running"] == false),
            "its process has ended"
        );
        acme.client.get(&acme.path("apps/web")).await?.problem(404, "not_found")?;
        wait_until("its live status to be forgotten", Duration::from_secs(20), async || {
            Ok(sql::count(skep.database.owner(), "app_status").await? == 0)
        })
        .await
    })
}

#[test]
fn of_an_app_that_never_ran() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        let removal = acme.remove("web").await?;
        acme.wait_for(&removal, "succeeded", "removed").await?;
        Ok(())
    })
}

#[test]
fn takes_over_from_a_rollout() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", crate::specs::slow_web("v1")).await?;
        let first = acme.deploy("web", json!({})).await?;
        acme.wait_for_status(&first, &["updating"]).await?;
        let removal = acme.remove("web").await?;
        acme.wait_for(&removal, "succeeded", "removed").await?;
        acme.wait_for(&first, "superseded", "newer_deployment").await?;
        assert_eq!(engine.service_of(text(&app, "/id")?).await?, None);
        Ok(())
    })
}
