//! `bench deploy`: how much longer a deployment takes than the raw Docker calls that it comes to,
//! how soon API and worker are ready, and what they weigh.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tests::Tenant;
use tests::docker::Engine;
use tests::environment::environment;
use tokio::time::sleep;

use crate::images::Images;
use crate::installation::Installation;
use crate::machine::{Machine, Versions};
use crate::operation::{Operation, Sample, Side};
use crate::progress::Step;
use crate::raw::{Raw, spec_of};
use crate::report::{Measured, ProcessFigures, Report};
use crate::settings::Deploy;
use crate::skep::Skep;
use crate::start;

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
    let (starts, tenant) = start::measure(installation, images, settings.samples).await?;
    step.done(&format!("{} starts of API and worker", settings.samples));

    // Fresh ones: what they weigh idle is not what starting others has left in them.
    let step = Step::begin("bench", "API and worker, idle");
    let (mut api, operator, _) = start::api(installation).await?;
    let mut worker = installation.worker()?;
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
    let raw = warm_up(&skep).await?;
    let mut samples = Vec::new();
    for round in 1..=settings.samples {
        round_of(round, settings.samples, &skep, &raw, &mut samples).await?;
    }
    sleep(SETTLE).await;
    let after = (api.resident()?, worker.resident()?);
    machine.finish();
    worker.stop().await?;
    api.stop().await?;
    Ok(Report {
        measured: Measured {
            samples,
            processes: vec![
                ProcessFigures {
                    name: "api",
                    start_to_ready: starts.api,
                    resident_idle: idle.0,
                    resident_after: after.0,
                },
                ProcessFigures {
                    name: "worker",
                    start_to_ready: starts.worker,
                    resident_idle: idle.1,
                    resident_after: after.1,
                },
            ],
        },
        versions,
        machine,
        replicas: settings.replicas,
        rounds: settings.samples,
        registry: images.pushed,
    })
}

/// One deployment and one update that are not counted; what Docker holds of them afterwards is
/// what raw calls send.
async fn warm_up<'a>(skep: &Skep<'a>) -> Result<Raw<'a>> {
    let step = Step::begin("warm-up", "Skep and raw");
    let app = skep.make("warm-up").await?;
    let service = Skep::service(&app)?;
    skep.operate(&app, Operation::Create).await?;
    let v1 = spec_of(skep.engine, &service).await?;
    skep.operate(&app, Operation::Update).await?;
    let v2 = spec_of(skep.engine, &service).await?;
    let raw = Raw { engine: skep.engine, v1, v2, replicas: skep.replicas };
    let name = raw_name(skep, 0);
    for operation in [Operation::Create, Operation::Update] {
        raw.operate(&name, operation).await?;
    }
    tokio::try_join!(skep.remove(&app), raw.remove(&name))?;
    step.done("Docker holds the same spec of both sides");
    Ok(raw)
}

/// One app of each side goes through all operations, in turns, and is removed.
async fn round_of(
    round: u32,
    rounds: u32,
    skep: &Skep<'_>,
    raw: &Raw<'_>,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    let app = skep.make(&format!("app-{round}")).await?;
    let name = raw_name(skep, round);
    for operation in Operation::ALL {
        let step = Step::begin(operation.title(), &format!("round {round} of {rounds}"));
        // Each side is first in every other round: what the first leaves behind meets both.
        let sides = if round % 2 == 1 { [Side::Skep, Side::Raw] } else { [Side::Raw, Side::Skep] };
        let mut told = Vec::new();
        for side in sides {
            let timeline = match side {
                Side::Skep => skep.operate(&app, operation).await?,
                Side::Raw => raw.operate(&name, operation).await?,
            };
            samples.push(Sample { round, operation, side, timeline });
            told.push(format!("{} {:.0} ms", side.title(), timeline.verdict));
        }
        step.done(&format!("round {round} of {rounds}: {}", told.join(", ")));
    }
    tokio::try_join!(skep.remove(&app), raw.remove(&name))?;
    Ok(())
}

/// Carries the installation's name, by which leftovers are found.
fn raw_name(skep: &Skep<'_>, round: u32) -> String {
    format!("{}-raw-{round}", skep.installation)
}
