//! An API process of a test, inside of the test's own: the production entry point on a free port.

use std::net::SocketAddr;
use std::time::Duration;

use ::api::{LogFormat, Settings};
use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A serving API. Dropped, it stops.
pub struct Api {
    url: String,
    serving: JoinHandle<Result<()>>,
    shutdown: DropGuard,
}

/// Settings of an API on this database and broker. Few connections: many tests share a Postgres.
pub fn settings(database_url: String, amqp_url: String, queue_prefix: String) -> Settings {
    Settings {
        database_url: database_url.into(),
        amqp_url: amqp_url.into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        queue_prefix,
        database_connections: 6,
        tls_certificate: None,
        tls_key: None,
        metrics_listen: None,
        cors_origins: Vec::new(),
        max_in_flight: 64,
        max_connections: 256,
        client_timeout: 30,
        anonymous_rate: 1_000_000,
        session_hours: 12,
        login_queue: 64,
        log: "error".into(),
        log_format: LogFormat::Text,
    }
}

impl Api {
    /// Starts to serve.
    pub async fn start(settings: Settings) -> Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let serving = tokio::spawn(::api::serve(settings, listener, stop.clone()));
        Ok(Self { url, serving, shutdown: stop.drop_guard() })
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fails where it does not serve any more, with the reason.
    pub async fn check(&mut self) -> Result<()> {
        if self.serving.is_finished() {
            (&mut self.serving).await?.context("the API did not start")?;
            bail!("the API has stopped");
        }
        Ok(())
    }

    /// How it ended by itself; an error where it has not after `longest`.
    pub async fn ended(&mut self, longest: Duration) -> Result<Result<()>> {
        let ended = timeout(longest, &mut self.serving).await.context("the API still serves")?;
        Ok(ended?)
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(self) -> Result<()> {
        drop(self.shutdown);
        self.serving.await??;
        Ok(())
    }
}
