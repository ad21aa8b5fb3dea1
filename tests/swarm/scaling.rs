//! Scaling: up, down, and beyond what the nodes have.

use anyhow::Context;
use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::web;

#[test]
fn up_and_down_restarts_nobody() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        let id = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        let first = engine.running_ids(id).await?;
        let up = acme.scale("web", 3).await?;
        acme.wait_for(&up, "succeeded", "live").await?;
        let three = engine.running_ids(id).await?;
        assert_eq!(three.len(), 3);
        assert!(three.contains(&first[0]), "the one that ran goes on");
        let down = acme.scale("web", 1).await?;
        acme.wait_for(&down, "succeeded", "live").await?;
        let one = engine.running_ids(id).await?;
        assert!(one.len() == 1 && three.contains(&one[0]));
        assert_eq!(acme.app("web").await?["live"], json!({ "release": 1, "replicas": 1 }));
        Ok(())
    })
}

#[test]
fn beyond_what_the_nodes_have_is_taken_back() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        // Reserves more than half of the node's memory (a reservation is half of the limit), and
        // leaves enough of it for the tests beside this one.
        let total = engine.get("/info").await?["MemTotal"].as_i64().context("no memory")? >> 20;
        let limit = (total * 2 * 55 / 100).min(32 * 1024);
        let too_many = i32::try_from(total / (limit / 2) + 1)?;
        let mut spec = web("v1");
        spec["memory"] = limit.into();
        spec["deadlines"] = json!({ "schedule": 10 });
        let app = acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        let id = text(&app, "/id")?;
        let first = engine.running_ids(id).await?;
        let up = acme.scale("web", too_many).await?;
        let ended = acme.wait_for(&up, "rolled_back", "unschedulable").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        assert!(
            sentence.contains("10 s") && sentence.contains("insufficient resources"),
            "{sentence}"
        );
        assert_eq!(engine.running_ids(id).await?, first, "the one that ran goes on, alone");
        let now = acme.app("web").await?;
        assert_eq!((&now["replicas"], &now["live"]["replicas"]), (&1.into(), &1.into()));
        Ok(())
    })
}
