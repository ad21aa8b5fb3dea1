//! From the start of a process to its being ready: the API when `/readyz` says so, the worker when
//! it takes up a deployment that waits (it has no other door to knock at).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::answer::text;
use tests::{Client, Tenant};
use tokio::time::sleep;

use crate::images::Images;
use crate::installation::Installation;
use crate::process::Process;
use crate::watch::since;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// Nothing starts slower and is still worth measuring.
const LONGEST: Duration = Duration::from_secs(30);
/// What was accepted is in the broker by then.
const PUBLISHED: Duration = Duration::from_millis(300);

/// Milliseconds of each start.
pub(crate) struct Starts {
    pub(crate) api: Vec<f64>,
    pub(crate) worker: Vec<f64>,
}

/// Starts an API and waits until it is ready; says after how many milliseconds.
pub(crate) async fn api(installation: &Installation) -> Result<(Process, Client, f64)> {
    let (mut process, operator) = installation.api()?;
    let started = process.started;
    loop {
        // Refused until it listens.
        if let Ok(answer) = operator.get("/readyz").await
            && answer.body["status"] == "ready"
        {
            return Ok((process, operator, since(started)));
        }
        still_starting(&mut process, started)?;
        sleep(LOOK).await;
    }
}

/// Starts each of both that often; returns the tenant that deployed meanwhile.
pub(crate) async fn measure(
    installation: &Installation,
    images: &Images,
    samples: u32,
) -> Result<(Starts, Tenant)> {
    let mut starts = Starts { api: Vec::new(), worker: Vec::new() };
    for _ in 1..samples {
        let (process, _, took) = api(installation).await?;
        starts.api.push(took);
        process.stop().await?;
    }
    let (process, operator, took) = api(installation).await?;
    starts.api.push(took);
    let tenant = installation.tenant(&operator).await?;
    let mut deployments = Vec::new();
    for number in 0..samples {
        let (took, deployment) = worker(installation, &tenant, images, number).await?;
        starts.worker.push(took);
        deployments.push(deployment);
    }
    remove(installation, &tenant, &deployments).await?;
    process.stop().await?;
    Ok((starts, tenant))
}

/// What was taken up comes to its end, and is removed.
async fn remove(installation: &Installation, tenant: &Tenant, deployments: &[Value]) -> Result<()> {
    let worker = installation.worker()?;
    for deployment in deployments {
        tenant.wait_for(deployment, "succeeded", "live").await?;
        let removal = tenant.remove(text(deployment, "/app")?).await?;
        tenant.wait_for(&removal, "succeeded", "removed").await?;
    }
    worker.stop().await
}

/// Starts a worker while a deployment waits.
async fn worker(
    installation: &Installation,
    tenant: &Tenant,
    images: &Images,
    number: u32,
) -> Result<(f64, Value)> {
    let slug = format!("start-{number}");
    // Without replicas, so that its verdict costs nothing; it comes from a later worker.
    tenant.create_app(&slug, json!({ "image": images.v1, "replicas": 0 })).await?;
    let deployment = tenant.deploy(&slug, json!({})).await?;
    sleep(PUBLISHED).await;
    let mut process = installation.worker()?;
    let started = process.started;
    while tenant.deployment(&deployment).await?["status"] == "queued" {
        still_starting(&mut process, started)?;
        sleep(LOOK).await;
    }
    let took = since(started);
    process.stop().await?;
    Ok((took, deployment))
}

fn still_starting(process: &mut Process, started: Instant) -> Result<()> {
    process.check()?;
    ensure!(started.elapsed() < LONGEST, "not ready after {} s", LONGEST.as_secs());
    Ok(())
}
