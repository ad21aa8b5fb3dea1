//! A node that is lost: what the platform says of its apps, and where they go on.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use tests::answer::{list, text};
use tests::rig::run_on_rig;
use tests::{Outcome, wait_until};

use crate::specs::{image, web};

/// Swarm gives a node up after some 14 s, and its tasks are elsewhere some seconds later (measured on machines of this kind).
const GIVEN_UP: Duration = Duration::from_secs(90);

#[test]
#[ignore = "takes minutes: ./dev rig"]
fn apps_of_a_lost_node_are_degraded_then_healthy_elsewhere() -> Outcome {
    run_on_rig(async |rig, skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["replicas"] = 2.into();
        let app = acme.create_app("web", spec).await?;
        let app = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        assert_eq!(rig.places(app).await?, [2, 3]);
        let health = async || Ok::<_, anyhow::Error>(acme.app("web").await?["status"].clone());

        let begun = Instant::now();
        rig.kill(3).await?;
        rig.wait_for_state(rig.node(3), "down", GIVEN_UP).await?;
        let down = begun.elapsed();
        wait_until("both replicas on the node that is left", GIVEN_UP, async || {
            let tasks = rig.running(app).await?;
            let here =
                tasks.iter().filter(|task| rig.node_of(task).is_ok_and(|node| node.number == 2));
            Ok(here.count() == 2)
        })
        .await?;
        let moved = begun.elapsed();
        wait_until("live health to say so", GIVEN_UP, async || {
            let status = health().await?;
            Ok(status["health"] == "healthy" && status["running"] == 2)
        })
        .await?;
        let told = begun.elapsed();
        // What was said in between is history, with its cause.
        let history = acme.client.get(&acme.path("apps/web/health")).await?.expect(200)?;
        let told_of = list(&history, "/items")?;
        let degraded = told_of.iter().find(|entry| entry["health"] == "degraded");
        let cause = text(degraded.context("it was never said to be degraded")?, "/cause")?;
        println!(
            "node lost: down after {:.1} s, replicas elsewhere after {:.1} s, said to be healthy after {:.1} s; in between: {}",
            down.as_secs_f32(),
            moved.as_secs_f32(),
            told.as_secs_f32(),
            cause
        );

        // With a node less, deployments go on.
        acme.deploy_live("web", json!({ "image": image("v2") })).await?;

        rig.start_node(3).await?;
        rig.wait_for_state(rig.node(3), "ready", GIVEN_UP).await?;
        acme.deploy_live("web", json!({ "image": image("v1") })).await?;
        let places = rig.places(app).await?;
        assert!(places.contains(&3), "new tasks go to the node that came back: {places:?}");
        Ok(())
    })
}
