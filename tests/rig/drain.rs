//! A node that is drained: its tasks move, and live health tells of it truthfully.

use std::time::{Duration, Instant};

use bollard::models::NodeSpecAvailabilityEnum;
use serde_json::json;
use tests::answer::text;
use tests::rig::run_on_rig;
use tests::{Outcome, wait_until};

use crate::specs::web;

#[test]
fn tasks_leave_a_drained_node_and_a_deployment_does_not_go_there() -> Outcome {
    run_on_rig(async |rig, skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["replicas"] = 2.into();
        let app = acme.create_app("web", spec).await?;
        let app = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        assert_eq!(rig.places(app).await?, [2, 3]);

        let begun = Instant::now();
        rig.set_availability(3, NodeSpecAvailabilityEnum::DRAIN).await?;
        wait_until("both replicas on node 2", Duration::from_secs(60), async || {
            Ok(rig.places(app).await? == [2, 2])
        })
        .await?;
        println!(
            "drained: both replicas on the other worker after {:.1} s",
            begun.elapsed().as_secs_f32()
        );
        wait_until("live health to say so", Duration::from_secs(30), async || {
            let status = acme.app("web").await?["status"].clone();
            Ok(status["health"] == "healthy" && status["running"] == 2)
        })
        .await?;

        acme.deploy_live("web", json!({ "image": crate::specs::image("v2") })).await?;
        assert_eq!(rig.places(app).await?, [2, 2], "nothing goes where nothing may run");
        Ok(())
    })
}
