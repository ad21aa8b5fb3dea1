//! Logs that many follow at once: whether every line comes once while one of two workers is killed, how soon, and what it costs; and what
//! becomes of a log that is printed faster than anybody is given it. Lines are numbered by the app: one that is missing, or comes twice, ends
//! the benchmark.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use futures::future::{join, try_join_all};
use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::environment::environment;
use tests::follow::{Follow, Heard};
use tests::{Client, Tenant};
use tokio::time::{MissedTickBehavior, interval};

use crate::images::Images;
use crate::installation::Installation;
use crate::process::Process;
use crate::progress::Step;
use crate::settings::Logs;
use crate::{skep, start};

/// Logs of one token at once (docs/logs.md).
const OF_A_TOKEN: usize = 10;
/// Logs that are opened one after the other, to see how soon their first lines come.
const OPENED: usize = 20;
/// Bytes of a line of the app that prints too much.
const FLOOD_LINE: usize = 1000;
/// Who follow the log that is printed too fast.
const OF_THE_FLOOD: usize = 5;

pub(crate) async fn run(directory: &Path, settings: &Logs) -> Result<()> {
    let step = Step::begin("logs", "an installation of its own");
    let installation = Installation::make(&directory.join("bench")).await?;
    let engine = Engine::connect()?;
    let images = Images::ensure(engine.client(), environment().registry.as_deref()).await?;
    step.done(&format!("installation {} is made", installation.name));
    let measured = measure(&installation, &images, settings).await;
    let cleared = installation.clear().await;
    images.forget(engine.client()).await;
    measured.and(cleared)
}

async fn measure(installation: &Installation, images: &Images, settings: &Logs) -> Result<()> {
    let mut workers = vec![installation.worker_beside(1)?, installation.worker_beside(2)?];
    for worker in &mut workers {
        worker.driving().await?;
    }
    let (mut api, operator, _) = start::api(installation).await?;
    let tenant = Installation::tenant(&operator, "bench").await?;
    let tokens = (settings.followers as usize).div_ceil(OF_A_TOKEN);
    let clients = try_join_all((0..tokens).map(|_| client(&operator, &tenant))).await?;

    let step = Step::begin("logs", "an app that prints");
    let path = printing(&tenant, images, "steady", (settings.lines, 0)).await?;
    step.done(&format!("it prints {} lines a second", settings.lines));
    let opening = opening(&clients[0], &path).await?;
    let steady = steady(&clients, &path, settings, &mut api, &mut workers).await?;
    println!("\nfirst line after: {opening} ms ({OPENED} logs, one after the other)\n{steady}");
    tenant.remove("steady").await?;
    workers.push(installation.worker_beside(3)?);

    let step = Step::begin("logs", "an app that prints too much");
    let path = printing(&tenant, images, "flood", (settings.flood, FLOOD_LINE)).await?;
    step.done(&format!("it prints {} lines a second", settings.flood));
    let flood = flood(&clients[0], &path, settings, &mut api, &mut workers).await?;

    println!("\n{flood}");
    for process in workers.into_iter().chain([api]) {
        process.stop().await?;
    }
    Ok(())
}

/// A client with a token of its own.
async fn client(operator: &Client, tenant: &Tenant) -> Result<Client> {
    let path = format!("{}/tokens", tenant.home());
    let made = operator.post(&path, &json!({ "name": "logs" })).await?.expect(201)?;
    Ok(tenant.client.with_token(Some(text(&made, "/secret")?)))
}

/// The log of an app that prints so many lines a second, of so many bytes at least.
async fn printing(
    tenant: &Tenant,
    images: &Images,
    slug: &str,
    (lines, bytes): (u32, usize),
) -> Result<String> {
    let mut spec = skep::spec(&images.v1, 1);
    spec["env"]["APP_PRINT"] = json!(lines.to_string());
    spec["env"]["APP_LINE_BYTES"] = json!(bytes.to_string());
    tenant.create_app(slug, spec).await?;
    tenant.deploy_live(slug, json!({})).await?;
    Ok(tenant.path(&format!("apps/{slug}/logs?follow=true&tail=0")))
}

/// How soon first lines come, in milliseconds.
async fn opening(client: &Client, path: &str) -> Result<Spread> {
    let mut took = Vec::new();
    for _ in 0..OPENED {
        let (began, mut heard) = (Instant::now(), Heard::default());
        let mut follow = Follow::begin(client, path).await?;
        while heard.lines == 0 {
            heard.hear(&follow.next().await?.context("the log has ended")?)?;
        }
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Spread::of(took)
}

/// Many follow one log, and one of two workers is killed half-way.
async fn steady(
    clients: &[Client],
    path: &str,
    settings: &Logs,
    api: &mut Process,
    workers: &mut Vec<Process>,
) -> Result<String> {
    let step = Step::begin("logs", &format!("{} follow it", settings.followers));
    let time = Duration::from_secs(settings.seconds);
    let followers = (0..settings.followers as usize).map(|number| &clients[number / OF_A_TOKEN]);
    let following = try_join_all(followers.map(|client| follow(client, path, time)));
    let before = (api.on_cpu()?, workers[1].on_cpu()?);
    let watching = async {
        let mut most = Most::default();
        most.watch(api, &mut workers[1..], time / 2).await?;
        let killed = workers.remove(0);
        killed.kill().await?;
        most.watch(api, workers, time / 2).await?;
        let of_worker = workers[0].on_cpu()?;
        anyhow::Ok((most, api.on_cpu()? - before.0, of_worker - before.1))
    };
    let (followed, watched) = join(following, watching).await;
    let (followed, (most, of_api, of_worker)) = (followed?, watched?);
    step.done(&format!("{} followed it, a worker was killed", settings.followers));
    let lines: u64 = followed.iter().map(|one| one.heard.lines).sum();
    let dropped: u64 = followed.iter().map(|one| one.heard.dropped).sum();
    let missing: u64 = followed.iter().map(|one| one.heard.missing).sum();
    ensure!(dropped + missing == 0, "{dropped} lines were dropped, {missing} gaps beside them");
    let stalled = followed.iter().filter(|one| one.longest_pause > Duration::from_secs(5)).count();
    let late = Spread::of(followed.iter().flat_map(|one| one.late.iter().copied()).collect())?;
    let per_second = lines as f64 / time.as_secs_f64();
    let cost = |nanoseconds: u64| nanoseconds as f64 / 1e3 / lines as f64;
    Ok(format!(
        "{} followers of {} lines/s for {} s, one of two workers killed half-way ({stalled} logs moved):\n\
         lines                    {lines} ({per_second:.0}/s), each once and in order\n\
         late by                  {late} ms (those that waited for another worker included)\n\
         CPU of a line            {:.0} µs in the API, {:.0} µs in the worker that lived\n\
         resident memory at most  {:.0} MB the API, {:.0} MB the worker",
        settings.followers,
        settings.lines,
        settings.seconds,
        cost(of_api),
        cost(of_worker),
        most.api as f64 / 1e6,
        most.worker as f64 / 1e6,
    ))
}

/// A few follow a log that is printed too fast: what is missing was said to be, or the benchmark would have ended.
async fn flood(
    client: &Client,
    path: &str,
    settings: &Logs,
    api: &mut Process,
    workers: &mut [Process],
) -> Result<String> {
    let step = Step::begin("logs", &format!("{OF_THE_FLOOD} follow it"));
    let time = Duration::from_secs(settings.seconds / 2);
    let following = try_join_all((0..OF_THE_FLOOD).map(|_| follow(client, path, time)));
    let mut most = Most::default();
    let (followed, watched) = join(following, most.watch(api, workers, time)).await;
    watched?;
    let followed = followed?;
    step.done(&format!("{OF_THE_FLOOD} followed it"));
    let per_second = |lines: u64| lines as f64 / time.as_secs_f64() / OF_THE_FLOOD as f64;
    let given: u64 = followed.iter().map(|one| one.heard.lines).sum();
    let dropped: u64 = followed.iter().map(|one| one.heard.dropped).sum();
    let missing: u64 = followed.iter().map(|one| one.heard.missing).sum();
    let late = Spread::of(followed.iter().flat_map(|one| one.late.iter().copied()).collect())?;
    Ok(format!(
        "{OF_THE_FLOOD} followers of {} lines/s of {FLOOD_LINE} bytes for {} s:\n\
         of each                  {:.0} lines/s given, {:.0}/s said to be dropped; {missing} gaps of all, said to be there\n\
         late by                  {late} ms\n\
         resident memory at most  {:.0} MB the API, {:.0} MB the worker",
        settings.flood,
        time.as_secs(),
        per_second(given),
        per_second(dropped),
        most.api as f64 / 1e6,
        most.worker as f64 / 1e6,
    ))
}

/// What came to one follower.
struct Followed {
    heard: Heard,
    /// Milliseconds between a line's time and its coming, of the last line of each piece.
    late: Vec<f64>,
    longest_pause: Duration,
}

async fn follow(client: &Client, path: &str, time: Duration) -> Result<Followed> {
    let mut follow = Follow::begin(client, path).await?;
    let (began, mut came) = (Instant::now(), Instant::now());
    let mut followed =
        Followed { heard: Heard::default(), late: Vec::new(), longest_pause: Duration::ZERO };
    while began.elapsed() < time {
        let objects = follow.next().await?.context("the log has ended")?;
        followed.heard.hear(&objects)?;
        let Some(at) = objects.iter().rev().find_map(|object| object["at"].as_str()) else {
            continue;
        };
        let late = Utc::now() - DateTime::parse_from_rfc3339(at)?.to_utc();
        followed.late.push(late.as_seconds_f64() * 1e3);
        followed.longest_pause = followed.longest_pause.max(came.elapsed());
        came = Instant::now();
    }
    Ok(followed)
}

/// The most memory that was resident, in bytes.
#[derive(Default)]
struct Most {
    api: u64,
    worker: u64,
}

impl Most {
    async fn watch(
        &mut self,
        api: &mut Process,
        workers: &mut [Process],
        time: Duration,
    ) -> Result<()> {
        let end = Instant::now() + time;
        let mut looks = interval(Duration::from_secs(1));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < end {
            looks.tick().await;
            self.api = self.api.max(api.resident()?);
            for worker in &mut *workers {
                self.worker = self.worker.max(worker.resident()?);
            }
        }
        Ok(())
    }
}

/// Samples, as percentiles.
struct Spread(Vec<f64>);

impl Spread {
    fn of(mut samples: Vec<f64>) -> Result<Self> {
        samples.sort_by(f64::total_cmp);
        samples.first().context("nothing was measured")?;
        Ok(Self(samples))
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p90, p99, most] = [50, 90, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, at most {most:.0}")
    }
}
