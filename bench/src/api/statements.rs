//! Statements a request, counted on the wire between an API and Postgres; and the ones that an accept
//! sends, for pgbench to send the same.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use db::bootstrap::API;
use serde::Serialize;
// `tests` alone would be this file's own.
use ::tests::sql;
use ::tests::wire::{Statement, Transaction, Wire};

use super::dataset::{Made, Size, id};
use super::load::{Target, Volume};
use super::meter::Meter;
use super::queue;
use super::requests::{Callers, Operation, READS};
use crate::installation::Installation;

/// Requests that are counted of each.
const REQUESTS: u64 = 50;
/// Number of the release that the accept makes: like no other number in it.
pub(crate) const RELEASE: i32 = 70_001;

/// Statements of one operation.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Count {
    pub(crate) operation: Operation,
    /// Of a request, on an average: where they are in a transaction, without BEGIN and COMMIT.
    pub(crate) statements: f64,
    /// Those among them that tell row security whose rows are asked for; they are not waited for.
    pub(crate) settings: f64,
}

/// What was heard.
pub(crate) struct Heard {
    pub(crate) counts: Vec<Count>,
    /// The statements of one accept.
    pub(crate) accept: Transaction,
}

/// Listens to an API of its own, called by a few organizations: each token is looked up once a second, and
/// that is counted with the rest.
pub(crate) async fn listen(installation: &Installation, size: Size) -> Result<Heard> {
    let url = installation.url(API)?;
    let wire = Wire::start(&url).await?;
    let (mut api, address) = queue::api_at(installation, &wire.through(&url)?).await?;
    let administrator = installation.administrator()?;
    let target = Target {
        callers: Callers::new(&address, size, &size.sample(), 0)?.into(),
        address,
        meter: Meter::new(api.id()?, &administrator).await?,
    };
    let asked = |most| Volume { connections: 1, time: Duration::from_secs(60), most };
    let mut counts = Vec::new();
    for operation in READS {
        // Connects, and has the tokens looked up.
        target.load(operation, asked(REQUESTS)).await?;
        let before = wire.alone().len();
        target.load(operation, asked(REQUESTS)).await?;
        counts.push(count(operation, wire.alone().get(before..).unwrap_or_default()));
    }
    // The first accept is of the first app; its number is found again among the parameters.
    let first = id(Made::App, 1)?;
    let numbered = format!("UPDATE apps SET last_release = {} WHERE id = '{first}'", RELEASE - 1);
    sql::execute(&administrator, &numbered).await?;
    target.load(Operation::Accept, asked(REQUESTS)).await?;
    let is_accept = |statement: &Statement| statement.text.contains("INSERT INTO deployments (");
    let accepts: Vec<Transaction> = wire
        .transactions()
        .into_iter()
        .filter(|statements| statements.iter().any(is_accept))
        .collect();
    ensure!(accepts.len() as u64 == REQUESTS, "{} accepts were heard", accepts.len());
    let statements = accepts.iter().map(Vec::len).sum::<usize>() as f64 / REQUESTS as f64;
    // One more, ahead of its BEGIN.
    counts.push(Count { operation: Operation::Accept, statements, settings: 1.0 });
    api.stop().await?;
    let accept = accepts.into_iter().next().context("an accept was heard")?;
    Ok(Heard { counts, accept })
}

fn count(operation: Operation, heard: &[Statement]) -> Count {
    let each = |statements: usize| statements as f64 / REQUESTS as f64;
    let settings = heard.iter().filter(|statement| statement.text.starts_with("SET ")).count();
    Count { operation, statements: each(heard.len() - settings), settings: each(settings) }
}
