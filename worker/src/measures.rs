//! What a worker tells Prometheus: how much is to be done, and its connections to Postgres.

use std::net::SocketAddr;

use db::Database;
use db::ledger::ledger_counts;
use db::outbox::outbox_length;
use metrics::{describe_gauge, gauge};
use telemetry::ListenError;
use tokio_util::sync::CancellationToken;

const DEPLOYMENTS: &str = "skep_deployments_unfinished";
const OUTBOX: &str = "skep_outbox_length";
const CONNECTIONS: &str = "skep_database_connections";
const WAITING: &str = "skep_database_waiting";

/// Listens for Prometheus.
pub(crate) fn listen(
    address: SocketAddr,
    database: Database,
    stop: CancellationToken,
) -> Result<(), ListenError> {
    telemetry::listen(address, move || sample(database.clone()), stop)?;
    describe_gauge!(DEPLOYMENTS, "Deployments of the installation without a verdict, by status");
    describe_gauge!(OUTBOX, "Wake-ups that the broker has not confirmed yet");
    describe_gauge!(CONNECTIONS, "Connections of the pool by state");
    describe_gauge!(WAITING, "Tasks that wait for a connection");
    tracing::info!(%address, "tells metrics");
    Ok(())
}

async fn sample(database: Database) {
    let pool = database.pool();
    gauge!(CONNECTIONS, "state" => "idle").set(pool.idle as f64);
    gauge!(CONNECTIONS, "state" => "used").set(pool.used as f64);
    gauge!(WAITING).set(pool.waiting as f64);
    match ledger_counts(&database).await {
        Ok(counts) => {
            for (status, count) in counts {
                gauge!(DEPLOYMENTS, "status" => status.as_str()).set(count as f64);
            }
        }
        Err(error) => tracing::debug!(error = error.chain(), "deployments were not counted"),
    }
    match outbox_length(&database).await {
        Ok(length) => gauge!(OUTBOX).set(length as f64),
        Err(error) => tracing::debug!(error = error.chain(), "the outbox was not measured"),
    }
}
