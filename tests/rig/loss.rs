//! A node that is lost: what the platform says of its apps, and where they go on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bollard::models::NodeSpecAvailabilityEnum;
use serde_json::json;
use tests::answer::text;
use tests::follow::{Follow, Heard};
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
        spec["env"] = json!({ "APP_PRINT": "5" });
        let app = acme.create_app("web", spec).await?;
        let app = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        assert_eq!(rig.places(app).await?, [2, 3]);
        let logs = acme.path("apps/web/logs");
        let mut follow = Follow::begin(&acme.client, &format!("{logs}?follow=true&tail=1")).await?;
        let mut heard = Heard::default();
        heard.read(&mut follow, Duration::from_secs(2)).await?;
        assert_eq!((heard.last.len(), heard.missing), (2, 0));
        let health = async || Ok::<_, anyhow::Error>(acme.app("web").await?["status"].clone());

        // So long as the other node takes no more, its replica has nowhere to go.
        rig.set_availability(2, NodeSpecAvailabilityEnum::PAUSE).await?;
        let begun = Instant::now();
        rig.kill(3).await?;
        rig.wait_for_state(rig.node(3), "down", GIVEN_UP).await?;
        let down = begun.elapsed();
        // Who follows the log is told that one of the two is missing; who asks for what was printed, too.
        let told = Instant::now() + GIVEN_UP;
        while heard.missing == 0 {
            ensure!(Instant::now() < told, "{:?}", heard.last);
            heard.hear(&follow.next().await?.context("the log has ended")?)?;
        }
        let lines = heard.lines;
        heard.read(&mut follow, Duration::from_secs(2)).await?;
        ensure!(heard.missing == 1 && heard.lines > lines, "{heard:?}");
        let people = acme.client.get(&logs).await?.text;
        ensure!(people.contains("are missing here: its node does not answer"), "{people}");
        let degraded = wait_for("live health to name the node", GIVEN_UP, async || {
            let status = health().await?;
            let is_named =
                text(&status, "/cause").is_ok_and(|cause| cause.contains("its successor waits"));
            Ok((status["health"] == "degraded" && is_named).then_some(status))
        })
        .await?;
        let told = begun.elapsed();
        assert_eq!(degraded["running"], 1, "{degraded:#}");
        let cause = text(&degraded, "/cause")?;
        assert!(cause.contains(&rig.node(3).id), "{cause}");
        println!(
            "node lost: down after {:.1} s, said to be degraded after {:.1} s: {cause}",
            down.as_secs_f32(),
            told.as_secs_f32()
        );

        let begun = Instant::now();
        rig.set_availability(2, NodeSpecAvailabilityEnum::ACTIVE).await?;
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
        println!(
            "room elsewhere: both replicas there after {:.1} s, said to be healthy after {:.1} s",
            moved.as_secs_f32(),
            begun.elapsed().as_secs_f32()
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
