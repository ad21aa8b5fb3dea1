//! `bench deploy`: how much longer deployments take than the raw Docker calls that they come to, how
//! soon another worker goes on where one has ended, how soon API and worker are ready, and what they
//! weigh. Each part is measured in a file of its own; here is their order.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tests::Tenant;
use tests::docker::Engine;
use tests::environment::environment;
use tokio::time::sleep;

use crate::crowd::{self, Crowd, OPERATIONS};
use crate::images::Images;
use crate::installation::Installation;
use crate::machine::{Machine, Versions};
use crate::operation::Operation;
use crate::progress::Step;
use crate::report::{Measured, ProcessFigures, Report};
use crate::settings::{Deploy, Part};
use crate::skep::Skep;
use crate::{cancel, recovery, rounds, start};

/// How long processes are left alone before their memory is read.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures, prints and writes.
pub(crate) async fn run(directory: &Path, settings: &Deploy) -> Result<()> {
    let directory = directory.join("bench");
    let step = Step::begin("bench", "an installation of its own");
    let installation = Installation::make(&directory).await?;
    let engine = Engine::connect()?;
    let images = Images::ensure(engine.client(), environment().registry.as_deref()).await?;
    step.done(&format!("installation {} is made", installation.name));

    let measuring = measure(&installation, &engine, &images, settings);
    let measured = tokio::select! {
        measured = measuring => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    // The processes ended with the future that held them, whatever it came to.
    let step = Step::begin("bench", "clearing away");
    let cleared = installation.clear().await;
    images.forget(engine.client()).await;
    let report = measured?;
    cleared?;
    step.done("everything is cleared away");

    println!("\n{}", report.text());
    let file = directory.join("deploy.json");
    report.write(&file)?;
    println!("\nAll samples: {}", file.display());
    Ok(())
}

async fn measure(
    installation: &Installation,
    engine: &Engine,
    images: &Images,
    settings: &Deploy,
) -> Result<Report> {
    let versions = Versions::read(engine).await?;
    let mut machine = Machine::read();
    let step = Step::begin("bench", "starts of API and worker");
    let (starts, tenant) = start::measure(installation, images).await?;
    step.done(&format!("{} starts of API and worker", starts.api.len()));

    // Fresh ones: what they weigh idle is not what starting others has left in them.
    let step = Step::begin("bench", "API and worker, idle");
    let (mut api, operator, _) = start::api(installation).await?;
    let mut worker = installation.worker()?;
    let slots = worker.driving().await?;
    let client = operator.with_token(Some(&tenant.token));
    let tenant = Tenant { client, ..tenant };
    sleep(SETTLE).await;
    let idle = (api.resident()?, worker.resident()?);
    step.done("API and worker were left alone");

    let skep = Skep {
        installation: &installation.name,
        tenant: &tenant,
        engine,
        images,
        replicas: settings.replicas,
    };
    let (mut samples, mut cancels) = (Vec::new(), Vec::new());
    let (mut crowds, mut recoveries) = (Vec::new(), Vec::new());
    if settings.measures(Part::Operations) {
        samples = rounds::measure(&skep, settings.samples).await?;
    }
    if settings.measures(Part::Cancel) {
        cancels = cancel::measure(&skep, settings.samples).await?;
    }
    machine.settle();
    let crowd = match settings.measures(Part::Crowd) {
        true => Some(Crowd::make(&skep, &operator, settings.apps).await?),
        false => None,
    };
    if let Some(crowd) = &crowd {
        let operations: &[Operation] =
            if settings.updates { &OPERATIONS } else { &[Operation::Create] };
        let (runs, specs) = crowd.skep(slots, operations).await?;
        crowds.extend(runs);
        crowds.extend(crowd.raw(&specs, operations).await?);
    }
    sleep(SETTLE).await;
    let after = (api.resident()?, worker.resident()?);
    worker.stop().await?;
    if let Some(crowd) = &crowd {
        crowds.extend(unlimited(installation, crowd, slots, settings.apps).await?);
    }
    if settings.measures(Part::Recovery) {
        recoveries = recovery::measure(installation, &skep, settings.ends).await?;
    }
    api.stop().await?;
    let process = |name, start_to_ready, resident_idle, resident_after| ProcessFigures {
        name,
        start_to_ready,
        resident_idle,
        resident_after,
    };
    Ok(Report {
        measured: Measured {
            samples,
            crowds,
            recoveries,
            cancels,
            processes: vec![
                process("api", starts.api, idle.0, after.0),
                process("worker", starts.worker, idle.1, after.1),
            ],
        },
        versions,
        machine,
        replicas: settings.replicas,
        rounds: settings.samples,
        registry: images.pushed,
    })
}

/// The crowd's creates once more, with a slot for each app: tells whether it was the slots that took
/// so long.
async fn unlimited(
    installation: &Installation,
    crowd: &Crowd<'_>,
    slots: u64,
    apps: u32,
) -> Result<Vec<crowd::Run>> {
    if slots >= u64::from(apps) {
        return Ok(Vec::new());
    }
    let mut worker = installation.worker_of(apps)?;
    let slots = worker.driving().await?;
    let (runs, _) = crowd.skep(slots, &[Operation::Create]).await?;
    worker.stop().await?;
    Ok(runs)
}
