//! `bench api`: what a request costs, in time and in CPU of API and Postgres, where many organizations
//! have many apps; whether that grows with the data; what row security adds; and accepts beside pgbench.
//! No worker runs. Each part is measured in a file of its own; here is their order.

mod accepts;
mod aims;
mod dataset;
mod load;
mod meter;
mod pgbench;
mod queue;
mod report;
mod requests;
mod statements;
mod turns;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use db::Database;
use db::bootstrap::API;
// `tests` alone would be this file's own.
use ::tests::docker::Engine;
use tokio::time::sleep;

use crate::installation::Installation;
use crate::machine::{Machine, Versions};
use crate::process::Process;
use crate::progress::Step;
use crate::settings::Api;
use dataset::Size;
use load::{Figures, Target, Volume};
use meter::Meter;
use pgbench::Script;
use report::{Measured, Report, Resident};
use requests::{Callers, Operation, READS};
use turns::Turns;

/// How many connections load the API at once.
const CONNECTIONS: [u32; 3] = [1, 16, 64];
/// What the large data set is compared with.
const SMALL: Size = Size { organizations: 10 };
/// How long processes are left alone before their memory is read.
const SETTLE: Duration = Duration::from_secs(5);
/// Before each measurement: connections are made, plans are kept, tokens are looked up.
const WARM_UP: Duration = Duration::from_secs(1);

/// Measures, prints and writes.
pub(crate) async fn run(directory: &Path, settings: &Api) -> Result<()> {
    let directory = directory.join("bench");
    let large = Installation::make(&directory).await?;
    let small = Installation::make(&directory.join("small")).await?;
    let measuring = measure(&large, &small, settings);
    let measured = tokio::select! {
        measured = measuring => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let step = Step::begin("bench", "clearing away");
    let cleared = (large.clear().await, small.clear().await);
    let report = measured?;
    cleared.0?;
    cleared.1?;
    // A line for each of some hundred thousand requests.
    large.forget_logs()?;
    small.forget_logs()?;
    step.done("everything is cleared away");

    println!("\n{}", report.text());
    let file = directory.join("api.json");
    report.write(&file)?;
    println!("\nAll figures: {}", file.display());
    Ok(())
}

/// An API with the data that it serves.
struct Served<'a> {
    installation: &'a Installation,
    administrator: Database,
    size: Size,
    process: Process,
    address: String,
    meter: Meter,
}

impl<'a> Served<'a> {
    async fn start(installation: &'a Installation, size: Size) -> Result<Self> {
        let step = Step::begin("data", &size.text());
        let administrator = installation.administrator()?;
        size.fill(&administrator).await?;
        step.done(&size.text());
        let (mut process, address) = queue::api_at(installation, &installation.url(API)?).await?;
        let meter = Meter::new(process.id()?, &administrator).await?;
        Ok(Self { installation, administrator, size, process, address, meter })
    }

    /// Called by these organizations.
    fn target(&self, visited: &[u32], run: u32) -> Result<Target> {
        let callers = Callers::new(&self.address, self.size, visited, run)?;
        Ok(Target { address: self.address.clone(), callers: callers.into(), meter: self.meter })
    }
}

async fn measure(large: &Installation, small: &Installation, settings: &Api) -> Result<Report> {
    let machine = Machine::read();
    let versions = Versions::read(&Engine::connect()?).await?;
    let size = Size { organizations: settings.organizations };
    let all = size.organizations();
    let time = Duration::from_secs(settings.seconds.into());
    // Many short ones: what the machine does meanwhile changes within seconds.
    let turns = Turns { rounds: settings.rounds, warm_up: WARM_UP / 4, time: time / 4 };
    let mut served = Served::start(large, size).await?;
    sleep(SETTLE).await;
    let idle = served.process.resident()?;

    let mut steps = Vec::new();
    for operation in READS {
        for connections in CONNECTIONS {
            let volume = |time| Volume { connections, time, most: u64::MAX };
            let target = served.target(&all, 0)?;
            target.load(operation, volume(WARM_UP)).await?;
            steps.push(told(operation, connections, target.load(operation, volume(time))).await?);
        }
    }
    sleep(SETTLE).await;
    let after_reads = served.process.resident()?;

    let step = Step::begin("turns", "row security on and off");
    let target = served.target(&all, 0)?;
    let row_security = turns.row_security(&target, &served.administrator).await?;
    step.done("row security on and off, in turns");
    let other = Served::start(small, SMALL).await?;
    let step = Step::begin("turns", "small and large");
    // As many callers of as many apps: what differs is what lies beside.
    let (few, sample) = (SMALL.organizations(), size.sample());
    let sizes = turns.sizes(&other.target(&few, 0)?, &served.target(&sample, 0)?).await?;
    step.done("small and large data set, in turns");
    other.process.stop().await?;

    for (run, connections) in (1..).step_by(2).zip(CONNECTIONS) {
        // No app twice: the second deployment would supersede the first.
        let (warm_up, target) = (served.target(&all, run)?, served.target(&all, run + 1)?);
        let volume = |time| Volume { connections, time, most: target.callers.apps() };
        warm_up.load(Operation::Accept, volume(WARM_UP)).await?;
        queue::end_accepted(&served.administrator).await?;
        let loading = target.load(Operation::Accept, volume(time));
        steps.push(told(Operation::Accept, connections, loading).await?);
        queue::end_accepted(&served.administrator).await?;
    }
    sleep(SETTLE).await;
    let after_accepts = served.process.resident()?;
    let Served { installation, administrator, process, .. } = served;
    process.stop().await?;

    let heard = statements::listen(installation, size).await?;
    queue::end_unpublished(&administrator).await?;
    let script = Script::of(&heard.accept, size)?;
    let pgbench = settings.pgbench.as_deref().filter(|program| program.exists());
    let step = Step::begin("turns", "accepts and pgbench");
    // Each of them takes as long as many of the others.
    let rounds = settings.rounds.div_ceil(4);
    let beside =
        accepts::measure(installation, &administrator, size, &script, pgbench, rounds).await?;
    step.done("accepts and pgbench, in turns");
    Ok(Report {
        machine,
        versions,
        size,
        settings: settings.clone(),
        measured: Measured {
            steps,
            statements: heard.counts,
            row_security,
            sizes,
            beside,
            resident: Resident { idle, after_reads, after_accepts },
        },
    })
}

async fn told(
    operation: Operation,
    connections: u32,
    loading: impl Future<Output = Result<Figures>>,
) -> Result<Figures> {
    let what = format!("{}, {connections} connections", operation.title());
    let step = Step::begin("load", &what);
    let figures = loading.await?;
    step.done(&format!("{what}: {:.0}/s", figures.requests_per_second));
    Ok(figures)
}
