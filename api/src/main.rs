//! The `api` process: settings, logs, signals; the rest is the library's.

use anyhow::Context as _;
use api::{LogFormat, Settings};
use clap::Parser as _;
use poem::listener::TcpAcceptor;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    start_log(&settings)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let shutdown = CancellationToken::new();
    end_with_signals(shutdown.clone())?;
    Ok(api::serve(settings, TcpAcceptor::from_tokio(listener)?, shutdown).await?)
}

fn start_log(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log).context("SKEP_LOG")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match settings.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    // A panic is answered with 500 and must be in the same log as everything else.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic")));
    Ok(())
}

/// SIGTERM and SIGINT ask to stop; a second one changes nothing, the drain is bounded.
fn end_with_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop: finishing the requests in progress");
        shutdown.cancel();
    });
    Ok(())
}
