//! A node that is cut off: it goes on running what Swarm starts elsewhere, and the platform says so.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::rig::run_on_rig;
use tests::{Outcome, wait_for, wait_until};

use crate::specs::web;

const LONG: Duration = Duration::from_secs(120);

#[test]
#[ignore = "takes minutes: ./dev rig"]
fn what_a_cut_off_node_goes_on_running_is_reported_until_it_is_back() -> Outcome {
    run_on_rig(async |rig, skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["replicas"] = 2.into();
        let app = acme.create_app("web", spec).await?;
        let app = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        assert_eq!(rig.places(app).await?, [2, 3]);
        let there = async || -> anyhow::Result<usize> {
            let engine = &rig.node(3).engine;
            Ok(engine.labelled("containers/json", &format!("skep.app={app}")).await?.len())
        };

        let begun = Instant::now();
        rig.cut(3).await?;
        rig.wait_for_state(rig.node(3), "down", LONG).await?;
        wait_until("both replicas on the node that is left", LONG, async || {
            let tasks = rig.running(app).await?;
            let here =
                tasks.iter().filter(|task| rig.node_of(task).is_ok_and(|node| node.number == 2));
            Ok(here.count() == 2)
        })
        .await?;
        assert_eq!(there().await?, 1, "it goes on there");
        let reported = async || -> anyhow::Result<Option<Value>> {
            let drift = skep.operator.get("/v1/admin/drift").await?.expect(200)?;
            Ok(list(&drift, "/items")?.iter().find(|found| found["kind"] == "duplicate").cloned())
        };
        let found = wait_for("the duplicate to be reported", LONG, reported).await?;
        println!(
            "cut off: reported after {:.1} s: {}",
            begun.elapsed().as_secs_f32(),
            text(&found, "/sentence")?
        );

        let mended = Instant::now();
        rig.mend(3).await?;
        rig.wait_for_state(rig.node(3), "ready", LONG).await?;
        wait_until("the duplicate to end", LONG, async || Ok(there().await? == 0)).await?;
        let ended = mended.elapsed();
        wait_until("the report to end", LONG, async || Ok(reported().await?.is_none())).await?;
        println!(
            "back: the duplicate ended after {:.1} s, the report after {:.1} s",
            ended.as_secs_f32(),
            mended.elapsed().as_secs_f32()
        );
        assert_eq!(rig.places(app).await?, [2, 2], "tasks do not move back by themselves");
        assert_eq!(acme.app("web").await?["status"]["health"], "healthy");
        Ok(())
    })
}
