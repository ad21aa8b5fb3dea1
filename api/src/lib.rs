//! The API of Skep: what tenants and operators talk to, described by its own OpenAPI document.
//!
//! It reads tenants' input, so it holds no Docker client and never will: all that it can do to what
//! runs is to write a deployment into Postgres, which a worker then drives. It must not decide what
//! a tenant may ask for either: `model::policy` does, behind `db`.

mod access;
mod authentication;
mod body;
mod changes;
mod docs_page;
mod document;
mod done;
mod email_text;
mod endpoints;
mod entity_tag;
mod hashing;
mod idempotency;
mod json;
mod logins;
mod logs;
mod measures;
mod middleware;
mod page;
#[cfg(test)]
mod parsers;
mod problem;
mod problems_page;
mod rates;
mod schema;
mod secret_text;
mod server;
mod settings;
mod spec;
mod state;
mod tls;
mod uses;
mod word;
mod written;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use db::Database;
use db::migrations::schema_check;
use db::platform::platform_get;
use poem::endpoint::make_sync;
use poem::{Endpoint, EndpointExt as _, Response, Route, get};
use queue::{Asker, DeadLetters, Relay, Streams};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use settings::{LogFormat, Settings};

use authentication::Authentication;
use changes::Changes;
use endpoints::health::DatabaseHealth;
use hashing::Hashing;
use logs::Readers;
use middleware::{Bounds, Cors};
use rates::Limiter;
use server::Server;
use state::State;
use uses::Uses;

/// The OpenAPI document as JSON, indented: what `/openapi.json` answers, and what the repository
/// keeps a copy of.
pub fn openapi_document() -> String {
    document::document().text().to_owned()
}

/// Serves until `shutdown`, then finishes the requests in progress (within 30 seconds) and sends what they
/// left to be sent (within 5 more). Fails at once where a setting names what is not there, and where the
/// database is not, was never set up, or has an older schema than this build.
pub async fn serve(
    settings: Settings,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    queue::check(&settings.amqp_url)?;
    let tls = settings.tls().map(tls::acceptor).transpose()?;
    let patience = Duration::from_secs(settings.client_timeout);
    let database = Database::for_requests(settings.database_url, settings.database_connections)?;
    schema_check(&database).await?;
    let platform = platform_get(&database).await?;
    for warning in platform.warnings() {
        tracing::warn!(warning, "the installation is set in a way that costs a promise");
    }
    let address = listener.local_addr()?;
    tracing::info!(platform = platform.name, %address, tls = tls.is_some(), "the API serves");
    if let Some(address) = settings.metrics_listen {
        let sampled = database.clone();
        let sample = move || {
            measures::sample(&sampled);
            ready(())
        };
        telemetry::listen(address, sample, shutdown.clone())?;
        measures::describe();
        tracing::info!(%address, "tells metrics");
    }
    // The relay and the listener end after the requests that they serve.
    let background = CancellationToken::new();
    let uses = Uses::start(database.clone(), background.clone());
    let authentication = Authentication::new(database.clone(), uses);
    let state = State {
        platform,
        database_health: DatabaseHealth::default(),
        asker: Asker::start(settings.amqp_url.clone(), &settings.queue_prefix, background.clone()),
        log_streams: Streams::start(
            settings.amqp_url.clone(),
            &settings.queue_prefix,
            background.clone(),
        ),
        log_readers: Readers::default(),
        dead_letters: DeadLetters::new(settings.amqp_url.clone(), &settings.queue_prefix),
        relay: Relay::start(
            database.clone(),
            settings.amqp_url,
            &settings.queue_prefix,
            background.clone(),
        ),
        changes: Changes::start(database.clone(), authentication.clone(), background.clone()),
        authentication,
        limiter: Limiter::start(database.clone(), settings.anonymous_rate, background.clone()),
        patience,
        hashing: Hashing::new(settings.login_queue),
        session_lifetime: TimeDelta::hours(settings.session_hours),
        stopping: shutdown.clone(),
        database,
    };
    let (relay, end_background) = (state.relay.clone(), background.drop_guard());
    let (cors, bounds) = (Cors::new(settings.cors_origins), Bounds::new(settings.max_in_flight));
    let routes = routes(Arc::new(state), cors, bounds);
    let server = Server { listener, tls, connections: settings.max_connections, patience };
    server.run(routes, shutdown).await;
    drop(end_background);
    // What the last requests committed goes out before the process does.
    relay.ended().await;
    Ok(())
}

fn routes(state: Arc<State>, cors: Cors, bounds: Bounds) -> impl Endpoint<Output = Response> {
    // Made before the first request: every request needs it.
    let text = document::document().text();
    let document =
        make_sync(move |_| Response::builder().content_type("application/json").body(text));
    let routes = Route::new()
        .at("/openapi.json", get(document))
        .at("/docs", get(make_sync(|_| docs_page::answer())))
        .at(problems_page::PATH, get(make_sync(|_| problems_page::answer())))
        .nest_no_strip("/", endpoints::service());
    middleware::around(routes.data(state), cors, bounds)
}
