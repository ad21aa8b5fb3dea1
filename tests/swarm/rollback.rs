//! Manual rollbacks: deployments of an older release, by the same path.

use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::{image, web};

#[test]
fn to_the_release_before() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        acme.deploy_live("web", json!({ "image": image("v2") })).await?;
        let back = acme.rollback("web", json!({})).await?;
        let ended = acme.wait_for(&back, "succeeded", "live").await?;
        assert_eq!((&ended["kind"], &ended["release"]), (&"rollback".into(), &1.into()));
        let (_, answer) = engine.ask_from(text(&app, "/id")?, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v1");
        assert_eq!(acme.app("web").await?["live"]["release"], 1);
        Ok(())
    })
}
