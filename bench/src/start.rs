//! From the start of a process to its being ready: the API when `/readyz` says so, the worker when
//! it takes up a deployment that waits (it has no other door to knock at).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::answer::text;
use tests::{Client, Tenant};
use tokio::time::sleep;

use crate::images::Images;
use crate::installation::Installation;
use crate::process::Process;
use crate::watch::since;

/// The organization that deploys.
const ORGANIZATION: &str = "bench";
/// How often each is started. A start takes less than a second.
const STARTS: u32 = 7;
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
    let (process, operator) = installation.api()?;
    ready(process, operator).await
}

/// Waits until a starting API is ready; says after how many milliseconds.
pub(crate) async fn ready(
    mut process: Process,
    operator: Client,
) -> Result<(Process, Client, f64)> {
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

/// Starts each of both several times; returns the tenant that deployed meanwhile.
pub(crate) async fn measure(
    installation: &Installation,
    images: &Images,
) -> Result<(Starts, Tenant)> {
    let mut starts = Starts { api: Vec::new(), worker: Vec::new() };
    for _ in 1..STARTS {
        let (process, _, took) = api(installation).await?;
        starts.api.push(took);
        process.stop().await?;
    }
    let (process, operator, took) = api(installation).await?;
    starts.api.push(took);
    let tenant = Installation::tenant(&operator, ORGANIZATION).await?;
    let mut deployments = Vec::new();
    for number in 0..STARTS {
        let (took, deployment) = worker(installation, &tenant, images, number).await?;
        starts.worker.push(took);
        deployments.push(deployment);
    }
    remove(installation, &tenant, &deployments).await?;
    process.stop().await?;
    Ok((starts, tenant))
}

/// What was taken up is removed, wherever it is by now: a removal takes over.
async fn remove(installation: &Installation, tenant: &Tenant, deployments: &[Value]) -> Result<()> {
    let worker = installation.worker()?;
    let removing = deployments.iter().map(async |deployment| {
        let removal = tenant.remove(text(deployment, "/app")?).await?;
        tenant.wait_for(&removal, "succeeded", "removed").await
    });
    try_join_all(removing).await?;
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
    // Without replicas: nothing has to start, or to end.
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
