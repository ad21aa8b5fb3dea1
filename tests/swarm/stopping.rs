//! Stop, start and restart of a running app.

use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::web;

#[test]
fn a_stopped_app_runs_nothing_until_it_is_started() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        let id = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        let stop = acme.to("stop", "web").await?;
        acme.wait_for(&stop, "succeeded", "stopped").await?;
        let over = |state: &str| ["shutdown", "complete", "failed"].contains(&state);
        for task in engine.all_tasks_of(id).await? {
            let state = text(&task, "/Status/State")?;
            assert!(over(state), "stopped is said when the last task has ended: {state}");
        }
        let again = acme.to("stop", "web").await?;
        acme.wait_for(&again, "succeeded", "unchanged").await?;
        let start = acme.to("start", "web").await?;
        acme.wait_for(&start, "succeeded", "live").await?;
        assert_eq!(engine.running_ids(id).await?.len(), 1);
        Ok(())
    })
}

#[test]
fn a_restart_replaces_every_task() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["replicas"] = 2.into();
        let app = acme.create_app("web", spec).await?;
        let id = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        let before = engine.running_ids(id).await?;
        let restart = acme.to("restart", "web").await?;
        acme.wait_for(&restart, "succeeded", "live").await?;
        let after = engine.running_ids(id).await?;
        assert_eq!(after.len(), 2);
        assert!(before.iter().all(|task| !after.contains(task)), "{before:?} {after:?}");
        assert_eq!(acme.app("web").await?["live"]["release"], 1);
        Ok(())
    })
}
