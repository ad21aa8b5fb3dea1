//! Superseding: a hotfix never waits behind a bad image.

use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::{image, web};

#[test]
fn a_hotfix_takes_over_from_a_bad_update() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        // Long enough for the bad one to be on its way when the hotfix comes.
        spec["health_check"]["start_period"] = 60.into();
        let app = acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        let bad = acme.deploy("web", json!({ "image": image("v3") })).await?;
        acme.wait_for_status(&bad, &["updating"]).await?;
        let fix = acme.deploy("web", json!({ "image": image("v2") })).await?;
        acme.wait_for(&fix, "succeeded", "live").await?;
        let ended = acme.wait_for(&bad, "superseded", "newer_deployment").await?;
        assert_eq!(ended["superseded_by"], fix["id"]);
        let id = text(&app, "/id")?;
        assert_eq!(engine.running_ids(id).await?.len(), 1);
        let (_, answer) = engine.ask_from(id, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v2");
        assert_eq!(acme.app("web").await?["live"]["release"], 3);
        Ok(())
    })
}
