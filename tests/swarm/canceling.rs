//! Cancelling a deployment that a worker drives: what was live is live again, and verified.

use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::{image, slow_web, web};

#[test]
fn an_update_goes_back_to_what_was_live() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", slow_web("v1")).await?;
        let id = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        let before = engine.running_ids(id).await?;
        let update = acme.deploy("web", json!({ "image": image("v2") })).await?;
        acme.wait_for_status(&update, &["updating"]).await?;
        acme.ask_cancel(&update).await?.expect(202)?;
        let ended = acme.wait_for(&update, "canceled", "canceled").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        assert!(sentence.contains("v1 is live again"), "{sentence}");
        assert_eq!(engine.running_ids(id).await?, before, "start-first: the old task never went");
        let (_, answer) = engine.ask_from(id, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v1");
        assert_eq!(acme.app("web").await?["live"]["release"], 1);
        Ok(())
    })
}

#[test]
fn a_first_deployment_is_stopped() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", slow_web("v1")).await?;
        let first = acme.deploy("web", json!({})).await?;
        acme.wait_for_status(&first, &["updating"]).await?;
        acme.ask_cancel(&first).await?.expect(202)?;
        acme.wait_for(&first, "canceled", "canceled").await?;
        assert!(engine.running_ids(text(&app, "/id")?).await?.is_empty());
        assert!(acme.app("web").await?["live"].is_null());
        Ok(())
    })
}

#[test]
fn a_scale_takes_its_replicas_back() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let up = acme.scale("web", 3).await?;
        acme.wait_for_status(&up, &["updating", "verifying"]).await?;
        acme.ask_cancel(&up).await?.expect(202)?;
        acme.wait_for(&up, "canceled", "canceled").await?;
        assert_eq!(engine.running_ids(text(&app, "/id")?).await?.len(), 1);
        assert_eq!(acme.app("web").await?["replicas"], 1);
        Ok(())
    })
}
