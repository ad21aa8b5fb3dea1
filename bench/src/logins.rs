//! Logins beside reads: hashing a password is meant to cost a processor, and whoever reads meanwhile must
//! hardly notice. Rounds with and without logins take turns, so that what else the machine does is in both.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use tests::Client;
use tests::people::{PASSWORD, log_in, person};

use crate::installation::Installation;
use crate::progress::Step;
use crate::settings::Logins;
use crate::start;

/// Rounds of each kind.
const ROUNDS: usize = 3;
/// What reading may take, times what it takes while nobody logs in.
const AIM: f64 = 2.0;

pub(crate) async fn run(directory: &Path, settings: &Logins) -> Result<()> {
    let installation = Installation::make(&directory.join("bench")).await?;
    let (mut process, operator, _) = start::api(&installation).await?;
    let tenant = Installation::tenant(&operator, "bench").await?;
    let step = Step::begin("logins", "makes the people");
    let mut people = Vec::new();
    for number in 0..settings.people {
        people.push(person(&operator, &format!("person{number}@example.org")).await?.email);
    }
    step.done(&format!("{} people", people.len()));
    let (path, reader) = (tenant.home(), &tenant.client);
    let (mut quiet, mut busy, mut logins) = (Vec::new(), Vec::new(), 0);
    let before = process.resident()?;
    for round in 1..=ROUNDS {
        let step = Step::begin("logins", &format!("round {round} of {ROUNDS}"));
        let end = Instant::now() + Duration::from_secs(settings.seconds);
        quiet.extend(read(reader, &path, settings.readers, end).await?);
        let end = Instant::now() + Duration::from_secs(settings.seconds);
        let logging_in =
            try_join_all(people.iter().map(|email| log_in_until(&operator, email, end)));
        let reading = read(reader, &path, settings.readers, end);
        let (reads, made) = tokio::try_join!(reading, logging_in)?;
        busy.extend(reads);
        logins += made.iter().sum::<u32>();
        step.done(&format!("{} reads", quiet.len() + busy.len()));
    }
    let after = process.resident()?;
    let (quiet_p99, busy_p99) = (p99(&mut quiet)?, p99(&mut busy)?);
    let seconds = settings.seconds * ROUNDS as u64;
    println!(
        "\nGET of an organization, {} connections, p99: {quiet_p99:.2} ms while nobody logs in \
         ({:.0}/s), {busy_p99:.2} ms while {} people do ({:.0}/s): {:.2} times (aim: {AIM})",
        settings.readers,
        quiet.len() as f64 / seconds as f64,
        settings.people,
        busy.len() as f64 / seconds as f64,
        busy_p99 / quiet_p99,
    );
    println!(
        "logins: {:.1}/s; resident memory of the API: {:.1} MB before, {:.1} MB after",
        f64::from(logins) / seconds as f64,
        before as f64 / 1e6,
        after as f64 / 1e6,
    );
    process.stop().await?;
    installation.clear().await
}

/// Reads on so many connections until `end`; milliseconds of each.
async fn read(client: &Client, path: &str, readers: u32, end: Instant) -> Result<Vec<f64>> {
    let reading = (0..readers).map(|_| async {
        let mut took = Vec::new();
        while Instant::now() < end {
            let started = Instant::now();
            client.get(path).await?.expect(200)?;
            took.push(started.elapsed().as_secs_f64() * 1e3);
        }
        anyhow::Ok(took)
    });
    Ok(try_join_all(reading).await?.concat())
}

/// Logs in again and again until `end`; how often.
async fn log_in_until(client: &Client, email: &str, end: Instant) -> Result<u32> {
    let mut made = 0;
    while Instant::now() < end {
        log_in(client, email, PASSWORD).await?.expect(201)?;
        made += 1;
    }
    Ok(made)
}

fn p99(samples: &mut [f64]) -> Result<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() * 99 / 100).copied().context("nothing was read")
}
