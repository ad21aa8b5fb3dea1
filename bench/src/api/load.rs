//! The load: a closed loop on connections that are kept alive, each sending its next request when it has
//! the answer to the one before.
//!
//! All of it runs on one thread, so that the API and Postgres have as much as can be of the machine; what
//! it takes itself is told beside, and counted for nobody.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use hyper::body::Body as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use super::meter::{Meter, Passed};
use super::requests::{Callers, Operation};

/// An API and who calls it.
#[derive(Clone)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) callers: Arc<Callers>,
    pub(crate) meter: Meter,
}

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Volume {
    pub(crate) connections: u32,
    /// It ends after this time,
    pub(crate) time: Duration,
    /// or after so many requests.
    pub(crate) most: u64,
}

/// What was measured of one load.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Figures {
    pub(crate) operation: Operation,
    pub(crate) connections: u32,
    pub(crate) requests: usize,
    pub(crate) requests_per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) most: f64,
    /// Milliseconds of CPU a request.
    pub(crate) api_cpu: f64,
    pub(crate) postgres_cpu: f64,
    pub(crate) load_cpu: f64,
    /// CPUs that others kept busy meanwhile: RabbitMQ, the kernel's own work, and whatever else runs here.
    pub(crate) others: f64,
}

impl Target {
    /// Loads it. Fails where anything but the expected status is answered.
    pub(crate) async fn load(&self, operation: Operation, volume: Volume) -> Result<Figures> {
        let target = self.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(target.run(operation, volume))
        });
        loading.await.context("the load's thread")?
    }

    async fn run(&self, operation: Operation, volume: Volume) -> Result<Figures> {
        let connections = (0..volume.connections).map(|_| connect(&self.address));
        let connections = try_join_all(connections).await?;
        let turns = AtomicU64::new(0);
        let before = self.meter.read()?;
        let end = Instant::now() + volume.time;
        let driven = connections.into_iter().map(async |mut connection| {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let turn = turns.fetch_add(1, Ordering::Relaxed);
                if turn >= volume.most {
                    break;
                }
                latencies.push(self.ask(&mut connection, operation, turn).await?);
            }
            anyhow::Ok(latencies)
        });
        let latencies = try_join_all(driven).await?.concat();
        let passed = before.until(&self.meter.read()?);
        figures(operation, volume.connections, latencies, passed)
    }

    /// One request; how long it took.
    async fn ask(
        &self,
        connection: &mut SendRequest<String>,
        operation: Operation,
        turn: u64,
    ) -> Result<Duration> {
        let request = self.callers.request(operation, turn)?;
        let sent = Instant::now();
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let (status, mut body) = (response.status().as_u16(), response.into_body());
        let mut wrong = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame?;
            if status != operation.status() {
                wrong.extend(frame.data_ref().into_iter().flatten());
            }
        }
        let took = sent.elapsed();
        if status != operation.status() {
            bail!(
                "{} was answered {status}: {}",
                operation.title(),
                String::from_utf8_lossy(&wrong)
            );
        }
        Ok(took)
    }
}

async fn connect(address: &str) -> Result<SendRequest<String>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its sender; what went wrong on it, the sender is told.
    tokio::spawn(connection);
    Ok(requests)
}

fn figures(
    operation: Operation,
    connections: u32,
    mut latencies: Vec<Duration>,
    passed: Passed,
) -> Result<Figures> {
    ensure!(!latencies.is_empty(), "{}: nothing was answered in time", operation.title());
    latencies.sort_unstable();
    let requests = latencies.len();
    let at = |share: f64| {
        let index = (requests as f64 * share) as usize;
        latencies.get(index.min(requests - 1)).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    };
    let each = |seconds: f64| seconds * 1000.0 / requests as f64;
    Ok(Figures {
        operation,
        connections,
        requests,
        requests_per_second: requests as f64 / passed.wall,
        p50: at(0.5),
        p99: at(0.99),
        most: at(1.0),
        api_cpu: each(passed.api),
        postgres_cpu: each(passed.postgres),
        load_cpu: each(passed.load),
        others: (passed.machine - passed.api - passed.postgres - passed.load).max(0.0)
            / passed.wall,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_each_request() {
        let latencies = (1..=100).map(Duration::from_millis).collect();
        let passed = Passed { wall: 2.0, api: 0.2, postgres: 0.4, load: 0.1, machine: 1.7 };
        let figures = figures(Operation::App, 16, latencies, passed).unwrap();
        assert_eq!((figures.p50, figures.p99, figures.most), (51.0, 100.0, 100.0));
        assert_eq!((figures.requests_per_second, figures.api_cpu), (50.0, 2.0));
        assert!((figures.others - 0.5).abs() < 1e-9);
    }
}
