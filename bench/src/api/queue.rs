//! An API that is ready, and what becomes of the deployments that it accepts: no worker runs, so they are
//! ended by hand, that the next accepts find what the first ones found.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use db::Database;
// `tests` alone would be this file's own.
use ::tests::sql;
use tokio::time::sleep;
use url::Url;

use crate::installation::Installation;
use crate::process::Process;
use crate::start;

/// How long the relay may take for what is left.
const RELAYED: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Ends what is queued. Without triggers: each would wake the API.
const END: &str = "SET session_replication_role = replica;
    UPDATE deployments SET status = 'succeeded', reason_code = 'live', reason = 'ended by the bench',
        finished_at = now() WHERE finished_at IS NULL;
    SET session_replication_role = origin";

/// Starts an API on this database; returns it with its `host:port`.
pub(crate) async fn api_at(installation: &Installation, url: &str) -> Result<(Process, String)> {
    let (process, operator) = installation.api_at(url)?;
    let (process, operator, _) = start::ready(process, operator).await?;
    let base = Url::parse(operator.base())?;
    let address =
        base.socket_addrs(|| None)?.first().context("the API has an address")?.to_string();
    Ok((process, address))
}

/// Waits until the relay has published all, and ends what was accepted.
pub(crate) async fn end_accepted(administrator: &Database) -> Result<()> {
    let begun = Instant::now();
    while sql::count(administrator, "outbox").await? > 0 {
        ensure!(begun.elapsed() < RELAYED, "the relay does not keep up");
        sleep(LOOK).await;
    }
    sql::scripts(administrator, &[END]).await
}

/// The same where no API runs: nobody publishes.
pub(crate) async fn end_unpublished(administrator: &Database) -> Result<()> {
    sql::scripts(administrator, &["TRUNCATE outbox", END]).await
}
