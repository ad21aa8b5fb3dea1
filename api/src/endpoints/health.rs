//! Whether the process lives, and whether it can serve.

use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::migrations::schema_check;
use model::error::ErrorCode;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Tag;
use crate::state::State;

/// How long Postgres may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer of Postgres is passed on. Anybody may ask, without a token: however often they
/// do, one connection a second is all that they take from those who have one.
const FRESH: Duration = Duration::from_secs(1);

/// How Postgres did when it was asked last.
#[derive(Default)]
pub(crate) struct DatabaseHealth(Mutex<Option<(Instant, PartState)>>);

impl DatabaseHealth {
    /// Asks Postgres, or passes on what it answered a moment ago. Who comes while it is being asked
    /// waits for that answer.
    async fn get(&self, database: &Database) -> PartState {
        let mut last = self.0.lock().await;
        if let Some((asked, found)) = *last
            && asked.elapsed() < FRESH
        {
            return found;
        }
        let found = match timeout(PATIENCE, schema_check(database)).await {
            Ok(Ok(())) => PartState::Up,
            Ok(Err(error)) if error.code == ErrorCode::Internal => PartState::Outdated,
            Ok(Err(_)) | Err(_) => PartState::Down,
        };
        *last = Some((Instant::now(), found));
        found
    }
}

/// The endpoints that tell whether the process is well.
pub(crate) struct HealthChecks;

/// The process lives.
#[derive(Debug, Object)]
pub(crate) struct Alive {
    /// `ok`.
    status: String,
}

/// Whether the process can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(crate) enum Readiness {
    /// Every part answers.
    Ready,
    /// Everything is served; deployments are accepted and start when the broker is back.
    Degraded,
    /// Nothing can be served.
    Unready,
}

/// How a part does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(crate) enum PartState {
    /// It answers.
    Up,
    /// It does not.
    Down,
    /// Its version is older than this process needs.
    Outdated,
}

/// The parts that the process needs.
#[derive(Debug, Object)]
pub(crate) struct Parts {
    /// Postgres and its schema.
    database: PartState,
    /// RabbitMQ.
    broker: PartState,
}

/// Whether the process can serve, and what is missing.
#[derive(Debug, Object)]
pub(crate) struct ReadinessReport {
    /// All in all.
    status: Readiness,
    /// Part by part.
    parts: Parts,
}

/// The answer to whether the process can serve.
#[derive(ApiResponse)]
pub(crate) enum ReadinessAnswer {
    /// It can: `ready` or `degraded`.
    #[oai(status = 200)]
    Serves(Json<ReadinessReport>),
    /// It cannot: `unready`.
    #[oai(status = 503)]
    ServesNot(Json<ReadinessReport>),
}

#[OpenApi(tag = "Tag::Health")]
impl HealthChecks {
    /// Tell whether the process lives
    ///
    /// Touches nothing else: a process that does not answer this has to be restarted.
    #[oai(path = "/healthz", method = "get", operation_id = "process_health")]
    async fn alive(&self) -> Json<Alive> {
        Json(Alive { status: "ok".into() })
    }

    /// Tell whether the process can serve
    ///
    /// A broker that is down makes it `degraded`: requests are served all the same. The answer may be
    /// a second old.
    #[oai(path = "/readyz", method = "get", operation_id = "process_readiness")]
    async fn ready(&self, state: Data<&Arc<State>>) -> ReadinessAnswer {
        let database = state.database_health.get(&state.database).await;
        let broker = if state.relay.connected() { PartState::Up } else { PartState::Down };
        let status = match (database, broker) {
            (PartState::Up, PartState::Up) => Readiness::Ready,
            (PartState::Up, _) => Readiness::Degraded,
            (PartState::Down | PartState::Outdated, _) => Readiness::Unready,
        };
        let report = Json(ReadinessReport { status, parts: Parts { database, broker } });
        if database == PartState::Up {
            ReadinessAnswer::Serves(report)
        } else {
            ReadinessAnswer::ServesNot(report)
        }
    }
}
