//! Updates: start-first, and nobody who visits notices.

use std::time::Duration;

use serde_json::{Value, json};
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run, wait_for};

use crate::specs::{image, visitor, web};

#[test]
fn a_start_first_update_fails_no_request() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["replicas"] = 2.into();
        // It still answers for a while after SIGTERM: names that were resolved before go on working.
        spec["env"] = json!({ "APP_DRAIN_SECONDS": "5" });
        let app = acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        let guest = acme.create_app("visitor", visitor("http://web:8080/", 50)).await?;
        acme.deploy_live("visitor", json!({})).await?;

        let counts = async || -> anyhow::Result<Value> {
            let ids = engine.running_ids(text(&guest, "/id")?).await?;
            let lines = engine.task_log(&ids[0]).await?;
            Ok(lines.last().map_or(Ok(Value::Null), |line| serde_json::from_str(line))?)
        };
        let visits_of = async |version: &str, least: u64| {
            wait_for(&format!("{least} visits of {version}"), Duration::from_secs(30), async || {
                let found = counts().await?;
                Ok((found["versions"][version].as_u64().unwrap_or_default() >= least)
                    .then_some(found))
            })
            .await
        };
        let before = visits_of("v1", 100).await?;
        assert_eq!(before["versions"]["v2"], Value::Null, "{before}");
        acme.deploy_live("web", json!({ "image": image("v2") })).await?;
        let now = counts().await?["versions"]["v2"].as_u64().unwrap_or_default();
        let after = visits_of("v2", now + 100).await?;
        assert_eq!(after["failed"], 0, "{after}");
        assert!(after["sent"].as_u64() >= Some(600), "{after}");

        let (status, answer) =
            engine.ask_from(text(&app, "/id")?, "http://web.internal:8080/").await?;
        assert_eq!((status, &answer["version"]), (200, &"v2".into()));
        assert_eq!(acme.app("web").await?["live"], json!({ "release": 2, "replicas": 2 }));
        Ok(())
    })
}
