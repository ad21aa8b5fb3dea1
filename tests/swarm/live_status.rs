//! Live status: what a worker sees running, told by the API.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptionsBuilder;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::{Outcome, Tenant, run, wait_for};

use crate::specs::web;

/// Waits until the app's health is this one.
async fn health(tenant: &Tenant, health: &str) -> anyhow::Result<Value> {
    wait_for(health, Duration::from_secs(20), async || {
        let status = tenant.app("web").await?["status"].clone();
        Ok((status["health"] == health).then_some(status))
    })
    .await
}

#[test]
fn is_healthy_then_degraded_then_stopped() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["replicas"] = 2.into();
        // What ends stays away for long enough to be seen.
        spec["restart"] = json!({ "delay": 60 });
        let app = acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        let well = health(&acme, "healthy").await?;
        assert_eq!(
            (&well["desired"], &well["running"], &well["release"]),
            (&2.into(), &2.into(), &1.into())
        );
        assert_eq!(list(&well, "/tasks")?.len(), 2);
        assert!(well["cause"].is_null(), "{well:#}");

        let kill = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        let container = engine.container_of(text(&app, "/id")?).await?;
        engine.client().kill_container(&container, Some(kill)).await?;
        let worse = health(&acme, "degraded").await?;
        assert_eq!((&worse["desired"], &worse["running"]), (&2.into(), &1.into()));
        assert!(text(&worse, "/cause")?.contains("137"), "{worse:#}");
        assert!(text(&worse, "/since")? > text(&well, "/since")?);

        let none = acme.scale("web", 0).await?;
        acme.wait_for(&none, "succeeded", "live").await?;
        let stopped = health(&acme, "stopped").await?;
        assert_eq!((&stopped["desired"], &stopped["running"]), (&0.into(), &0.into()));
        Ok(())
    })
}
