//! Deployments of what is live already: nothing is touched, unless forced.

use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::web;

#[test]
fn the_same_again_restarts_nothing_unless_forced() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        let id = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        let (tasks, service) =
            (engine.running_ids(id).await?, engine.service_of(id).await?.unwrap());
        assert_eq!(tasks.len(), 1);

        let same = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&same, "succeeded", "unchanged").await?;
        assert_eq!(ended["release"], 2);
        assert_eq!(engine.running_ids(id).await?, tasks);
        assert_eq!(
            engine.service_of(id).await?.unwrap()["Version"],
            service["Version"],
            "not even written"
        );

        acme.deploy_live("web", json!({ "force": true })).await?;
        let restarted = engine.running_ids(id).await?;
        assert_eq!(restarted.len(), 1);
        assert_ne!(restarted, tasks);
        Ok(())
    })
}
