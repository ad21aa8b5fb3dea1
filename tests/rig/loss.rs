//! A node that is lost: what the platform says of its apps, and where they go on.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::answer::{list, text};
use tests::rig::run_on_rig;
use tests::{Outcome, wait_for, wait_until};

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
        // One that may be nowhere else, and is told to be down for as long as its node is.
        rig.label(3, "disk", "here").await?;
        let mut spec = web("v1");
        spec["placement"] = json!({ "constraints": ["node.labels.disk==here"] });
        acme.create_app("pinned", spec).await?;
        acme.deploy_live("pinned", json!({})).await?;
        let health = async |slug| Ok::<_, anyhow::Error>(acme.app(slug).await?["status"].clone());

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
            let status = health("web").await?;
            Ok(status["health"] == "healthy" && status["running"] == 2)
        })
        .await?;
        let told = begun.elapsed();
        let pinned = wait_for("the app that stayed to be said to be down", GIVEN_UP, async || {
            let status = health("pinned").await?;
            Ok((status["health"] == "down").then_some(status))
        })
        .await?;
        let cause = text(&pinned, "/cause")?;
        assert!(cause.contains(&rig.node(3).id), "the node is named: {cause}");
        println!(
            "node lost: down after {:.1} s, replicas elsewhere after {:.1} s, said to be healthy after {:.1} s; of one that may be nowhere else: {cause}",
            down.as_secs_f32(),
            moved.as_secs_f32(),
            told.as_secs_f32(),
        );
        // How long the other was degraded is Swarm's haste: where a look fell into it, it is history, with its cause.
        let history = acme.client.get(&acme.path("apps/web/health")).await?.expect(200)?;
        for entry in list(&history, "/items")?.iter().filter(|entry| entry["health"] == "degraded")
        {
            println!("meanwhile degraded: {}", text(entry, "/cause")?);
        }

        // With a node less, deployments go on.
        acme.deploy_live("web", json!({ "image": image("v2") })).await?;

        rig.start_node(3).await?;
        rig.wait_for_state(rig.node(3), "ready", GIVEN_UP).await?;
        wait_until("the app that stayed to be said to be well", GIVEN_UP, async || {
            Ok(health("pinned").await?["health"] == "healthy")
        })
        .await?;
        acme.deploy_live("web", json!({ "image": image("v1") })).await?;
        let places = rig.places(app).await?;
        assert!(places.contains(&3), "new tasks go to the node that came back: {places:?}");
        Ok(())
    })
}
