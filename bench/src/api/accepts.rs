//! Accepts, beside pgbench: an API that has just started and pgbench take turns, each with an accept for
//! each of as many apps, none of which supersedes another.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use db::Database;
use db::bootstrap::API;
use serde::Serialize;

use super::dataset::Size;
use super::load::{Figures, Target, Volume};
use super::meter::Meter;
use super::pgbench::Script;
use super::queue;
use super::requests::{Callers, Operation};
use crate::figures;
use crate::installation::Installation;

/// Clients of both.
pub(crate) const CLIENTS: u32 = 16;
/// Nothing takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// What both reached.
#[derive(Debug, Serialize)]
pub(crate) struct Beside {
    pub(crate) accepts: Vec<Figures>,
    /// Transactions a second; none where there is no pgbench.
    pub(crate) pgbench: Vec<f64>,
}

impl Beside {
    /// Median accepts a second.
    pub(crate) fn accepts(&self) -> Option<f64> {
        let rates: Vec<f64> = self.accepts.iter().map(|run| run.requests_per_second).collect();
        Some(figures::Figures::of(&rates)?.median)
    }

    /// Median of pgbench.
    pub(crate) fn pgbench(&self) -> Option<f64> {
        Some(figures::Figures::of(&self.pgbench)?.median)
    }
}

/// Takes so many turns.
pub(crate) async fn measure(
    installation: &Installation,
    administrator: &Database,
    size: Size,
    script: &Script,
    pgbench: Option<&Path>,
    rounds: u32,
) -> Result<Beside> {
    let mut beside = Beside { accepts: Vec::new(), pgbench: Vec::new() };
    for round in 1..=rounds {
        beside.accepts.push(accepts(installation, administrator, size, script, round).await?);
        if let Some(pgbench) = pgbench {
            // Nobody publishes meanwhile: what pgbench is measured at is the statements alone.
            beside.pgbench.push(script.run(pgbench, installation, CLIENTS, round).await?);
            queue::end_unpublished(administrator).await?;
        }
    }
    Ok(beside)
}

async fn accepts(
    installation: &Installation,
    administrator: &Database,
    size: Size,
    script: &Script,
    round: u32,
) -> Result<Figures> {
    let (mut api, address) = queue::api_at(installation, &installation.url(API)?).await?;
    let meter = Meter::new(api.id()?, administrator).await?;
    let most = u64::from(script.accepts_each(CLIENTS) * CLIENTS);
    let mut measured = None;
    // The first tenth warms it up.
    for (most, run) in [(most / 10, 2 * round), (most, 2 * round + 1)] {
        let callers = Callers::new(&address, size, &size.organizations(), 1000 + run)?.into();
        let target = Target { address: address.clone(), callers, meter };
        let volume = Volume { connections: CLIENTS, time: LONGEST, most };
        measured = Some(target.load(Operation::Accept, volume).await?);
        queue::end_accepted(administrator).await?;
    }
    api.stop().await?;
    measured.ok_or_else(|| anyhow::anyhow!("nothing was measured"))
}
