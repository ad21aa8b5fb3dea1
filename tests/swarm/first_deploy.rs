//! The first deployment of an app.

use serde_json::json;
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::web;

#[test]
fn succeeds_and_runs_what_was_asked_for() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        let ended = acme.deploy_live("web", json!({})).await?;
        println!("{ended:#}");
        let id = app["id"].as_str().unwrap();
        let service = Engine::connect()?.service_of(id).await?.unwrap();
        println!("{service:#}");
        Ok(())
    })
}
