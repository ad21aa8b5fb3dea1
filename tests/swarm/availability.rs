//! Availability: updates are start-first, and nobody who visits notices. The longest of all stories is
//! here: the file's name makes it one of those that begin first.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run, wait_for};

use crate::specs::{image, visitor, web};

/// What a visitor has counted so far.
async fn counts(engine: &Engine, guest: &Value) -> anyhow::Result<Value> {
    let ids = engine.running_ids(text(guest, "/id")?).await?;
    let lines = engine.task_log(&ids[0]).await?;
    Ok(lines.last().map_or(Ok(Value::Null), |line| serde_json::from_str(line))?)
}

/// Waits until it has met a version so often.
async fn visits(
    engine: &Engine,
    guest: &Value,
    version: &str,
    least: u64,
) -> anyhow::Result<Value> {
    wait_for(&format!("{least} visits of {version}"), Duration::from_secs(30), async || {
        let found = counts(engine, guest).await?;
        Ok((visits_in(&found, version) >= least).then_some(found))
    })
    .await
}

fn visits_in(counts: &Value, version: &str) -> u64 {
    counts["versions"][version].as_u64().unwrap_or_default()
}

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

        let before = visits(&engine, &guest, "v1", 100).await?;
        assert_eq!(before["versions"]["v2"], Value::Null, "{before}");
        acme.deploy_live("web", json!({ "image": image("v2") })).await?;
        let now = visits_in(&counts(&engine, &guest).await?, "v2");
        let after = visits(&engine, &guest, "v2", now + 100).await?;
        assert_eq!(after["failed"], 0, "{after}");
        assert!(after["sent"].as_u64() >= Some(600), "{after}");

        let (status, answer) =
            engine.ask_from(text(&app, "/id")?, "http://web.internal:8080/").await?;
        assert_eq!((status, &answer["version"]), (200, &"v2".into()));
        assert_eq!(acme.app("web").await?["live"], json!({ "release": 2, "replicas": 2 }));
        Ok(())
    })
}

#[test]
fn five_updates_and_a_rollback_fail_none_of_200_requests_a_second() -> Outcome {
    const RATE: u32 = 200;
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["replicas"] = 3.into();
        spec["env"] = json!({ "APP_DRAIN_SECONDS": "5" });
        acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        let guest = acme.create_app("visitor", visitor("http://web:8080/", RATE)).await?;
        acme.deploy_live("visitor", json!({})).await?;
        let first = visits(&engine, &guest, "v1", 1).await?;
        let begun = Instant::now();
        for version in ["v2", "v1", "v2", "v1", "v2"] {
            let before = visits_in(&counts(&engine, &guest).await?, version);
            acme.deploy_live("web", json!({ "image": image(version) })).await?;
            let after = visits(&engine, &guest, version, before + 100).await?;
            assert_eq!(after["failed"], 0, "{version}: {after}");
        }
        let bad = acme.deploy("web", json!({ "image": image("v3") })).await?;
        acme.wait_for(&bad, "rolled_back", "unhealthy").await?;
        // Once more a second later, so that what was under way has its outcome.
        let now = visits_in(&counts(&engine, &guest).await?, "v2");
        let last = visits(&engine, &guest, "v2", now + u64::from(RATE)).await?;
        let took = begun.elapsed();
        assert_eq!(last["failed"], 0, "{last}");
        assert_eq!(last["versions"]["v3"], Value::Null, "nobody met the unhealthy one: {last}");
        assert_eq!(acme.app("web").await?["live"], json!({ "release": 6, "replicas": 3 }));
        let sent = |counts: &Value| counts["sent"].as_f64().unwrap_or_default();
        let rate = (sent(&last) - sent(&first)) / took.as_secs_f64();
        println!("{rate:.0} requests/s for {:.0} s: {last}", took.as_secs_f64());
        assert!(rate > f64::from(RATE) * 0.95, "not steady: {rate} requests/s; {last}");
        Ok(())
    })
}
