//! What a process tells Prometheus about itself, on an internal listener of its own. Nothing is measured in a process
//! without one: the macros of `metrics` then find no recorder.
//!
//! Labels are closed sets: a route's template, a status, never a tenant's name or an id. Whoever scrapes learns how the
//! platform does and nothing about whom it serves.

use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use metrics_process::Collector;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often what is a level, and no event, is looked at.
const SAMPLE: Duration = Duration::from_secs(5);

/// Upper bounds of the histograms' buckets, in seconds: from a read to a wait for a deployment.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 90.0];

/// Nothing can be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell metrics on {address}")]
pub struct ListenError {
    address: SocketAddr,
    source: BuildError,
}

/// Answers every GET at `address` with the metrics, for as long as the process lives. Until `stop`, `sample` sets the
/// levels every few seconds; those of the process itself are set here.
pub fn listen<F>(
    address: SocketAddr,
    sample: impl Fn() -> F + Send + 'static,
    stop: CancellationToken,
) -> Result<(), ListenError>
where
    F: Future<Output = ()> + Send,
{
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(PrometheusBuilder::install)
        .map_err(|source| ListenError { address, source })?;
    let process = Collector::default();
    process.describe();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut ticks = interval(SAMPLE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            process.collect();
            sample().await;
        }
    }));
    Ok(())
}
