//! dockerd is restarted, and every container ends with it. Its network namespace is new afterwards,
//! and the registry in it: these stories come last.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::specs::{image, slow_web, web};
use tests::{Outcome, Skep, Tenant, sql, wait_for};

use crate::services::Service;
use crate::turns::run_last;
use crate::{ended_once, tell};

/// How long a task may take to be back.
const BACK: Duration = Duration::from_secs(60);

/// What the app itself says that it is, once it answers.
async fn version(app: &Value) -> Result<Value> {
    let engine = Engine::connect()?;
    let (id, slug) = (text(app, "/id")?, text(app, "/slug")?);
    let url = format!("http://{slug}:8080/");
    wait_for(&format!("an answer of {slug}"), BACK, async || {
        if engine.running_ids(id).await?.is_empty() {
            return Ok(None);
        }
        let answer = engine.try_from(id, &url).await?;
        Ok(answer.ok().map(|(_, answer)| answer["version"].clone()))
    })
    .await
}

#[test]
fn restarted_in_a_rollout_every_verdict_is_true() -> Outcome {
    run_last(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", slow_web("v1")).await?;
        let steady = acme.create_app("steady", web("v1")).await?;
        let other = acme.create_app("other", web("v2")).await?;
        let first = acme.deploy("steady", json!({})).await?;
        acme.deploy_live("web", json!({})).await?;
        acme.wait_for(&first, "succeeded", "live").await?;
        let update = acme.deploy("web", json!({ "image": image("v2") })).await?;
        acme.wait_for_status(&update, &["updating"]).await?;
        let begun = Instant::now();
        // Accepted while there is no swarm to drive.
        let (away, meanwhile) =
            futures::future::try_join(Service::Docker.restart(), acme.deploy("other", json!({})))
                .await?;
        let ended = acme.wait_for_end(&update).await?;
        ended_once(&ended)?;
        tell(&format!(
            "dockerd restarted within {away:?} in a rollout: {} after {:?}: {}",
            text(&ended, "/status")?,
            begun.elapsed(),
            text(&ended, "/reason/sentence")?
        ));
        let live = match text(&ended, "/status")? {
            "succeeded" => "v2",
            // Swarm takes an update back when the new task ends under its watch, as it does here.
            "rolled_back" => "v1",
            other => anyhow::bail!("{other}: {ended:#}"),
        };
        assert_eq!(version(&app).await?, live);
        let release = &acme.app("web").await?["live"]["release"];
        ensure!(*release == if live == "v2" { 2 } else { 1 }, "{release} is not {live}");
        ended_once(&acme.wait_for(&meanwhile, "succeeded", "live").await?)?;
        assert_eq!(version(&other).await?, "v2");
        assert_eq!(version(&steady).await?, "v1");
        Ok(())
    })
}

/// Swarm's version of an app's service, once other tasks than these run and a worker has taken that version for its own.
async fn settled_again(skep: &Skep, tenant: &Tenant, app: &Value, old: &[String]) -> Result<i64> {
    let engine = Engine::connect()?;
    let (id, slug) = (text(app, "/id")?, text(app, "/slug")?);
    wait_for(&format!("{slug} to be looked at"), BACK, async || {
        let running = engine.running_ids(id).await?;
        let status = tenant.app(slug).await?["status"].clone();
        let told = status.to_string();
        let is_back = !running.is_empty()
            && running.iter().all(|task| !old.contains(task) && told.contains(task))
            && status["health"] == "healthy";
        let query = format!("SELECT live_version FROM apps WHERE slug = '{slug}'");
        let known = sql::row(skep.database.owner(), &query).await?["live_version"].clone();
        let version = version_of(&engine, id).await?;
        Ok((is_back && known == version).then_some(version))
    })
    .await
}

/// Swarm's version of an app's service.
async fn version_of(engine: &Engine, app: &str) -> Result<i64> {
    let service = engine.service_of(app).await?.context("no service")?;
    service["Version"]["Index"].as_i64().context("no version")
}

#[test]
fn restarted_under_what_is_live_nothing_is_taken_for_changed() -> Outcome {
    run_last(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let (engine, mut apps) = (Engine::connect()?, Vec::new());
        // A manager that begins to lead writes each service that has a virtual address.
        for mode in ["vip", "dnsrr"] {
            let mut spec = web("v1");
            spec["endpoint_mode"] = mode.into();
            let app = acme.create_app(mode, spec).await?;
            acme.deploy_live(mode, json!({})).await?;
            let id = text(&app, "/id")?;
            let (version, tasks) = (version_of(&engine, id).await?, engine.running_ids(id).await?);
            apps.push((mode, version, tasks, app));
        }
        let away = Service::Docker.restart().await?;
        for (mode, before, tasks, app) in &apps {
            let version = settled_again(skep, &acme, app, tasks).await?;
            tell(&format!("dockerd restarted within {away:?}: {mode} {before} -> {version}"));
            ensure!(*mode != "vip" || version != *before, "Swarm wrote nothing");
            let path = acme.path(&format!("apps/{mode}/deployments"));
            let deployments = acme.client.get(&path).await?.expect(200)?;
            ensure!(list(&deployments, "/items")?.len() == 1, "{deployments:#}");
        }
        let drift = skep.operator.get("/v1/admin/drift?resolved=true").await?.expect(200)?;
        ensure!(list(&drift, "/items")?.is_empty(), "{drift:#}");
        Ok(())
    })
}
