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
mod logins;
mod middleware;
mod page;
mod problem;
mod problems_page;
mod schema;
mod secret_text;
mod settings;
mod spec;
mod state;
mod word;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use db::Database;
use db::migrations::schema_check;
use db::platform::platform_get;
use model::{Error, Result};
use poem::endpoint::make_sync;
use poem::listener::Acceptor;
use poem::{Endpoint, EndpointExt as _, Response, Route, Server, get};
use queue::{DeadLetters, Relay};
use tokio_util::sync::CancellationToken;

pub use settings::{LogFormat, Settings};

use authentication::Authentication;
use changes::Changes;
use endpoints::health::DatabaseHealth;
use hashing::Hashing;
use middleware::Bounds;
use state::State;

/// How long requests in progress may take once the process was asked to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// When a connection on which nothing happens is closed: longer than any request takes.
const IDLE: Duration = Duration::from_secs(120);

/// The OpenAPI document as JSON, indented: what `/openapi.json` answers, and what the repository
/// keeps a copy of.
pub fn openapi_document() -> String {
    document::document().text().to_owned()
}

/// Serves until `shutdown`, then finishes the requests in progress (within 30 seconds). Fails at
/// once where the database is not there, was never set up, or has an older schema than this build.
pub async fn serve(
    settings: Settings,
    acceptor: impl Acceptor + 'static,
    shutdown: CancellationToken,
) -> Result<()> {
    let database = Database::new(settings.database_url, settings.database_connections)?;
    schema_check(&database).await?;
    let platform = platform_get(&database).await?;
    tracing::info!(platform = platform.name, "the API serves");
    // The relay and the listener end after the requests that they serve.
    let background = CancellationToken::new();
    let authentication = Authentication::new(database.clone());
    let state = State {
        platform,
        database_health: DatabaseHealth::default(),
        dead_letters: DeadLetters::new(settings.amqp_url.clone(), &settings.queue_prefix),
        relay: Relay::start(
            database.clone(),
            settings.amqp_url,
            &settings.queue_prefix,
            background.clone(),
        ),
        changes: Changes::start(database.clone(), authentication.clone(), background.clone()),
        authentication,
        hashing: Hashing::new(settings.login_queue),
        session_lifetime: TimeDelta::hours(settings.session_hours),
        stopping: shutdown.clone(),
        database,
    };
    let _end_background = background.drop_guard();
    let routes = routes(Arc::new(state), Bounds::new(settings.max_in_flight));
    Server::new_with_acceptor(acceptor)
        .name("api")
        .idle_timeout(IDLE)
        .run_with_graceful_shutdown(routes, shutdown.cancelled_owned(), Some(DRAIN))
        .await
        .map_err(Error::internal)
}

fn routes(state: Arc<State>, bounds: Bounds) -> impl Endpoint<Output = Response> {
    // Made before the first request: every request needs it.
    let text = document::document().text();
    let document =
        make_sync(move |_| Response::builder().content_type("application/json").body(text));
    let routes = Route::new()
        .at("/openapi.json", get(document))
        .at("/docs", get(make_sync(|_| docs_page::answer())))
        .at(problems_page::PATH, get(make_sync(|_| problems_page::answer())))
        .nest_no_strip("/", endpoints::service());
    middleware::around(routes.data(state), bounds)
}
