//! Networks: how soon an environment that is asked for has a network that an app runs on, with few and with many networks beside
//! it; and how fast subnets are given out.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use model::environment::MAX_ENVIRONMENTS;
use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Client, Tenant};
use tokio::time::sleep;

use crate::figures::Figures;
use crate::installation::Installation;
use crate::machine::Machine;
use crate::progress::Step;
use crate::settings::Networks;
use crate::start;
use crate::watch::since;

/// The image of the sample app, which the node has.
const IMAGE: &str = "skep-demo:v1";
/// Prefix length of every network here: 500 of them fit into the bench's range.
const PREFIX: u8 = 26;
/// Environments that are asked for at once where they are counted.
const AT_ONCE: usize = 16;
/// Deployments that the worker drives at once.
const SLOTS: u32 = 64;
/// Between two looks at Docker.
const LOOK: Duration = Duration::from_millis(5);
/// Nothing takes longer and is still worth measuring.
const LONGEST: Duration = Duration::from_secs(60);

/// One environment, in milliseconds since it was asked for.
struct Sample {
    /// The environment is answered: its subnet is its own.
    answered: f64,
    /// The first deployment in it is accepted.
    accepted: f64,
    /// Its network is in the swarm, with its subnet.
    made: f64,
    /// A task on it runs and is healthy.
    usable: f64,
}

pub(crate) async fn run(directory: &Path, settings: &Networks) -> Result<()> {
    let installation = Installation::make(&directory.join("bench")).await?;
    let machine = Machine::read();
    let (process, operator, _) = start::api(&installation).await?;
    // A window of 5 s is passed in each of so many slots at once.
    let worker = installation.worker_of(SLOTS)?;
    let mut filling = Filling { operator, tenants: Vec::new(), made: 0 };
    println!("{}", machine.text());
    println!(
        "\n{:<20}{:>24}{:>24}{:>24}{:>24}{:>20}",
        "networks beside it",
        "environment answered",
        "deployment accepted",
        "network in the swarm",
        "its first task healthy",
        "subnets a second"
    );
    for networks in &settings.networks {
        let step = Step::begin("networks", &format!("{networks} beside it"));
        let rate = filling.to(*networks).await?;
        let mut samples = Vec::new();
        for _ in 0..settings.samples {
            samples.push(filling.sample().await?);
        }
        step.done(&format!("{} samples", samples.len()));
        let shown = |of: fn(&Sample) -> f64| {
            let of: Vec<f64> = samples.iter().map(of).collect();
            let figures = Figures::of(&of).context("nothing was measured")?;
            anyhow::Ok(format!(
                "{:.0} ({:.0} – {:.0})",
                figures.median, figures.least, figures.most
            ))
        };
        let rate = rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}"));
        println!(
            "{networks:<20}{:>24}{:>24}{:>24}{:>24}{rate:>20}",
            shown(|sample| sample.answered)?,
            shown(|sample| sample.accepted)?,
            shown(|sample| sample.made)?,
            shown(|sample| sample.usable)?,
        );
    }
    println!(
        "\nmilliseconds since the environment was asked for: median (least – most) of {}; subnets a second: environments made, {AT_ONCE} \
         at once, without their networks in Docker",
        settings.samples
    );
    worker.stop().await?;
    process.stop().await?;
    installation.clear().await
}

/// An installation that is filled with networks.
struct Filling {
    operator: Client,
    tenants: Vec<Tenant>,
    /// Environments so far, beside those that organizations are born with.
    made: usize,
}

impl Filling {
    /// Makes environments until there are so many, each with its network in the swarm; how many were made a second, where
    /// that tells something.
    async fn to(&mut self, networks: usize) -> Result<Option<f64>> {
        let mut places = Vec::new();
        for number in self.made..networks {
            places.push(self.place(number).await?);
        }
        self.made = self.made.max(networks);
        let began = Instant::now();
        let making = stream::iter(&places).map(environment);
        making.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        let rate =
            (places.len() >= AT_ONCE).then(|| places.len() as f64 / began.elapsed().as_secs_f64());
        // Without replicas: the network is made, and nothing has to start.
        let deploying = places.iter().map(async |place| {
            let policy = json!({ "preset": "fast" });
            let body = json!({ "image": IMAGE, "replicas": 0, "update_policy": policy });
            place.create_app("web", body).await?;
            place.deploy_live("web", json!({})).await
        });
        try_join_all(deploying).await?;
        Ok(rate)
    }

    /// From an environment that is asked for to a task on its network.
    async fn sample(&mut self) -> Result<Sample> {
        let place = self.place(self.made).await?;
        self.made += 1;
        let engine = Engine::connect()?;
        let began = Instant::now();
        environment(&place).await?;
        let answered = since(began);
        let app = place
            .create_app(
                "web",
                json!({
                    "image": IMAGE, "port": 8080, "memory": 256, "update_policy": { "preset": "fast" },
                    "health_check": { "http": { "path": "/health" }, "interval": 1 },
                }),
            )
            .await?;
        let deployment = place.deploy("web", json!({})).await?;
        let accepted = since(began);
        let view = place.client.get(&place.path("network")).await?.expect(200)?;
        let path = format!("/networks/{}?scope=swarm", text(&view, "/network/name")?);
        let made = until(began, async || {
            let found = engine.find(&path).await?.unwrap_or_default();
            Ok(found["IPAM"]["Config"][0]["Subnet"].is_string())
        })
        .await?;
        let app = text(&app, "/id")?;
        let usable = until(began, async || Ok(!engine.running_ids(app).await?.is_empty())).await?;
        place.wait_for(&deployment, "succeeded", "live").await?;
        Ok(Sample { answered, accepted, made, usable })
    }

    /// The environment of this number, which nobody has made yet: in an organization that has room for it.
    async fn place(&mut self, number: usize) -> Result<Tenant> {
        // One is the environment that it was born with.
        let room = usize::try_from(MAX_ENVIRONMENTS)? - 1;
        while self.tenants.len() <= number / room {
            let slug = format!("bench{}", self.tenants.len());
            self.tenants.push(Installation::tenant(&self.operator, &slug).await?);
        }
        let tenant = self.tenants.get(number / room).context("no organization")?;
        Ok(tenant.within(&format!("e{number}")))
    }
}

async fn environment(place: &Tenant) -> Result<()> {
    let path = format!("{}/environments", place.home());
    let body = json!({ "slug": place.environment, "network": { "prefix": PREFIX } });
    place.client.post(&path, &body).await?.expect(201)?;
    Ok(())
}

/// Milliseconds since `began` when `holds` held.
async fn until(began: Instant, holds: impl AsyncFn() -> Result<bool>) -> Result<f64> {
    while !holds().await? {
        anyhow::ensure!(began.elapsed() < LONGEST, "not there after {} s", LONGEST.as_secs());
        sleep(LOOK).await;
    }
    Ok(since(began))
}
