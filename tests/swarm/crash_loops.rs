//! Crash loops: an app whose replicas keep ending is slowed down, tried again, and believed when it runs.

use std::time::Duration;

use anyhow::Context as _;
use bollard::errors::Error;
use bollard::query_parameters::KillContainerOptionsBuilder;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::environment::environment;
use tests::{Outcome, Skep, Tenant, run, sql, wait_for, wait_until};

use crate::specs::web;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(90);

async fn health(tenant: &Tenant, health: &str) -> anyhow::Result<Value> {
    wait_for(health, PATIENCE, async || {
        let status = tenant.app("web").await?["status"].clone();
        Ok((status["health"] == health).then_some(status))
    })
    .await
}

/// Has the app tried again at this time.
async fn resume(skep: &Skep, at: &str) -> Outcome {
    let resume = format!("UPDATE crash_loops SET resumes_at = {at}");
    assert_eq!(sql::execute(skep.database.owner(), &resume).await?, 1);
    Ok(())
}

/// Kills the app's one task whenever it runs, until the app is known to crash: a task that is left to run
/// through the window is believed.
async fn crash(skep: &Skep, engine: &Engine, app: &str) -> Outcome {
    wait_until("a crash loop", PATIENCE, async || {
        if sql::count(skep.database.owner(), "crash_loops").await? == 1 {
            return Ok(true);
        }
        let tasks = engine.tasks_of(app).await?;
        let running = tasks.iter().find(|task| task["Status"]["State"] == "running");
        let Some(task) = running else { return Ok(false) };
        let container = text(task, "/Status/ContainerStatus/ContainerID")?;
        let signal = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        match engine.client().kill_container(container, Some(signal)).await {
            // It has ended already, and Swarm has not noticed yet.
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            killed => killed?,
        }
        Ok(false)
    })
    .await
}

#[test]
fn is_slowed_down_then_tried_again_then_believed() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        health(&acme, "healthy").await?;
        let id = text(&app, "/id")?;
        crash(skep, &engine, id).await?;
        // Its pause lasts as long as it takes to look: a busy machine may be slower than 20 s.
        resume(skep, "now() + interval '1 hour'").await?;
        let slowed = wait_for("the pause", PATIENCE, async || {
            let status = acme.app("web").await?["status"].clone();
            let cause = status["cause"].as_str().unwrap_or_default();
            // A task that was just started again is seen to run until Swarm has ended it.
            let is_slowed = cause.contains("; slowed down (round 1)") && status["running"] == 0;
            Ok(is_slowed.then_some(status))
        })
        .await?;
        assert_eq!(slowed["health"], "crash_looping", "{slowed:#}");
        assert_eq!(slowed["desired"], 1, "{slowed:#}");
        assert!(text(&slowed, "/cause")?.contains("was killed (SIGKILL)"), "{slowed:#}");
        let service = engine.service_of(id).await?.context("no service")?;
        assert_eq!(service["Spec"]["Mode"]["Replicated"]["Replicas"], 0);
        // A deployment that comes to nothing leaves it as it is, to be tried again all the same.
        let nothing = format!("{}/nobody/nothing:v1", environment().registry()?);
        let bad = acme.deploy("web", json!({ "image": nothing })).await?;
        acme.wait_for(&bad, "failed", "image_not_found").await?;
        resume(skep, "now()").await?;
        let well = health(&acme, "healthy").await?;
        assert_eq!((&well["desired"], &well["running"]), (&1.into(), &1.into()));
        let (_, answer) = engine.ask_from(id, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v1");
        // The history has it all, newest first; nothing of it was a deployment of the platform's.
        let page = acme.client.get(&acme.path("apps/web/health")).await?.expect(200)?;
        let history: Vec<&Value> =
            list(&page, "/items")?.iter().map(|period| &period["health"]).collect();
        assert_eq!((history[0], history[1]), (&"healthy".into(), &"crash_looping".into()));
        assert!(history.len() >= 3 && history[2..].contains(&&"healthy".into()), "{history:?}");
        let deployments = acme.client.get(&acme.path("apps/web/deployments")).await?.expect(200)?;
        assert_eq!(list(&deployments, "/items")?.len(), 2, "{deployments:#}");
        Ok(())
    })
}
