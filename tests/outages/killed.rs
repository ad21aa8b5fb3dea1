//! SIGKILL: a worker in each status of a rollout, with another one beside it, and an API process
//! between its commit and its publish.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::TagImageOptionsBuilder;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::broker::{Broker, deployments_queue};
use tests::docker::Engine;
use tests::specs::{image, slow_web, web};
use tests::{Outcome, Skep, Tenant, sql, wait_for, wait_until};

use crate::turns::run_beside;
use crate::{ended_once, tell};

/// A lease of ten seconds, a sweep each three, and two for a slow machine.
const TAKEN_OVER: Duration = Duration::from_secs(15);
/// The window of the policy `fast`. Nobody watched while the lease ran out: it begins anew.
const WINDOW: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(30);

/// A deployment whose worker was killed.
struct Killed {
    at: Instant,
    fence: i64,
    steps: usize,
    status: String,
}

/// Waits until the newest deployment has this status, and kills the worker that drives it.
async fn kill_in(skep: &Skep, tenant: &Tenant, deployment: &Value, status: &str) -> Result<Killed> {
    let found = tenant.wait_for_status(deployment, &[status]).await?;
    let fence = fence(skep).await?;
    let id = text(deployment, "/id")?;
    let mut workers = skep.workers().await;
    let drives = |line: &String| line.contains(id);
    let driver = workers.iter_mut().find(|worker| worker.log().iter().any(drives));
    driver.with_context(|| format!("no worker drives {id}"))?.kill().await?;
    let at = Instant::now();
    Ok(Killed { at, fence, steps: list(&found, "/timeline")?.len(), status: status.to_owned() })
}

impl Killed {
    /// Waits for the other worker's claim and for its first step; both have a bound.
    async fn taken_over(
        &self,
        skep: &Skep,
        tenant: &Tenant,
        deployment: &Value,
        longest: Duration,
    ) -> Outcome {
        wait_until("another worker's claim", TAKEN_OVER, async || {
            Ok(fence(skep).await? > self.fence)
        })
        .await?;
        let claimed = self.at.elapsed();
        let next = wait_for("the next step", SOON, async || {
            let found = tenant.deployment(deployment).await?;
            Ok(list(&found, "/timeline")?.get(self.steps).cloned())
        })
        .await?;
        let took = self.at.elapsed();
        let (from, to) = (&self.status, text(&next, "/status")?);
        tell(&format!(
            "worker killed in {from}: claimed after {:.1} s, {to} after {:.1} s",
            claimed.as_secs_f64(),
            took.as_secs_f64()
        ));
        ensure!(took < longest, "{from} to {to} took {took:?}");
        Ok(())
    }
}

/// The fencing number of the newest deployment.
async fn fence(skep: &Skep) -> Result<i64> {
    let newest = "SELECT fence FROM deployments ORDER BY created_at DESC LIMIT 1";
    let found = sql::row(skep.database.owner(), newest).await?;
    found["fence"].as_i64().context("it has no fence")
}

/// Two workers that are ready, and `web` live in this version.
async fn two_workers(skep: &Skep, spec: Value) -> Result<(Tenant, Value)> {
    skep.start_worker().await?;
    skep.start_worker().await?;
    wait_until("two workers", SOON, async || {
        let workers = skep.workers().await;
        let ready = |line: &String| line.contains("driving") && line.contains("slots");
        Ok(workers.iter().all(|worker| worker.log().iter().any(ready)))
    })
    .await?;
    let acme = skep.tenant("acme").await?;
    let app = acme.create_app("web", spec).await?;
    acme.deploy_live("web", json!({})).await?;
    Ok((acme, app))
}

/// What the app itself says that it is.
async fn version(app: &Value) -> Result<Value> {
    let (_, answer) = Engine::connect()?.ask_from(text(app, "/id")?, "http://web:8080/").await?;
    Ok(answer["version"].clone())
}

#[test]
fn a_worker_while_it_waits_for_the_registry() -> Outcome {
    run_beside(async |skep| {
        let (acme, app) = two_workers(skep, web("v1")).await?;
        // Nothing listens there: who drives asks again and again.
        let late = format!("127.0.0.1:9/{}/late", skep.platform());
        let update = acme.deploy("web", json!({ "image": format!("{late}:v2") })).await?;
        wait_until("a first try", SOON, async || {
            let workers = skep.workers().await;
            let tried = |line: &String| line.contains("not now") && line.contains(&late);
            Ok(workers.iter().any(|worker| worker.log().iter().any(tried)))
        })
        .await?;
        let killed = kill_in(skep, &acme, &update, "provisioning").await?;
        // Now it can be had.
        let engine = Engine::connect()?;
        let tag = TagImageOptionsBuilder::new().repo(&late).tag("v2").build();
        engine.client().tag_image(&image("v2"), Some(tag)).await?;
        let told = killed.taken_over(skep, &acme, &update, TAKEN_OVER).await;
        let ended = acme.wait_for(&update, "succeeded", "live").await;
        engine.delete(&format!("/images/{late}:v2")).await?;
        told?;
        ended_once(&ended?)?;
        assert_eq!(version(&app).await?, "v2");
        Ok(())
    })
}

#[test]
fn a_worker_while_replicas_start() -> Outcome {
    run_beside(async |skep| {
        let (acme, app) = two_workers(skep, slow_web("v1")).await?;
        let update = acme.deploy("web", json!({ "image": image("v2") })).await?;
        let killed = kill_in(skep, &acme, &update, "updating").await?;
        killed.taken_over(skep, &acme, &update, TAKEN_OVER).await?;
        ended_once(&acme.wait_for(&update, "succeeded", "live").await?)?;
        assert_eq!(version(&app).await?, "v2");
        // As if it had happened once: one task of each release.
        let tasks = Engine::connect()?.all_tasks_of(text(&app, "/id")?).await?;
        assert_eq!(tasks.len(), 2, "{tasks:#?}");
        Ok(())
    })
}

#[test]
fn a_worker_while_replicas_are_watched() -> Outcome {
    run_beside(async |skep| {
        let (acme, app) = two_workers(skep, web("v1")).await?;
        let update = acme.deploy("web", json!({ "image": image("v2") })).await?;
        let killed = kill_in(skep, &acme, &update, "verifying").await?;
        killed.taken_over(skep, &acme, &update, TAKEN_OVER + WINDOW).await?;
        ended_once(&acme.wait_for(&update, "succeeded", "live").await?)?;
        assert_eq!(version(&app).await?, "v2");
        Ok(())
    })
}

#[test]
fn a_worker_on_the_way_back() -> Outcome {
    run_beside(async |skep| {
        let (acme, app) = two_workers(skep, web("v1")).await?;
        let update = acme.deploy("web", json!({ "image": image("v3") })).await?;
        let killed = kill_in(skep, &acme, &update, "rolling_back").await?;
        killed.taken_over(skep, &acme, &update, TAKEN_OVER + WINDOW).await?;
        ended_once(&acme.wait_for(&update, "rolled_back", "unhealthy").await?)?;
        assert_eq!(version(&app).await?, "v1");
        assert_eq!(acme.app("web").await?["live"]["release"], 1);
        Ok(())
    })
}

#[test]
fn an_api_between_its_commit_and_its_publish() -> Outcome {
    run_beside(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        let owner = skep.database.owner();
        let waiting = async || sql::count(owner, "outbox").await;
        wait_until("an empty outbox", SOON, async || Ok(waiting().await? == 0)).await?;
        // No relay of the installation publishes anything now.
        skep.broker_proxy.cut();
        let (mut doomed, url) = skep.start_api_process().await?;
        let path = acme.path("apps/web/deployments");
        let answer = acme.client.at(&url).post(&path, &json!({})).await?;
        let deployment = answer.expect(202)?;
        doomed.kill().await?;
        assert_eq!(waiting().await?, 1, "committed, and not published");
        let back = Instant::now();
        skep.broker_proxy.mend();
        wait_until("an empty outbox", SOON, async || Ok(waiting().await? == 0)).await?;
        tell(&format!("API killed: published by another after {:?}", back.elapsed()));
        let queue = deployments_queue(&skep.queue_prefix());
        assert_eq!(Broker::connect().await?.depth(&queue).await?, 1);
        skep.start_worker().await?;
        ended_once(&acme.wait_for(&deployment, "succeeded", "live").await?)?;
        assert_eq!(sql::count(owner, "deployments").await?, 1);
        Ok(())
    })
}
