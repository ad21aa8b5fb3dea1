//! The state of an API process: what all requests share.

use std::time::Duration;

use chrono::TimeDelta;
use db::Database;
use model::platform::Platform;
use queue::{Asker, DeadLetters, RelayHandle, Streams};
use tokio_util::sync::CancellationToken;

use crate::authentication::Authentication;
use crate::changes::Changes;
use crate::endpoints::health::DatabaseHealth;
use crate::hashing::Hashing;
use crate::logs::Readers;
use crate::rates::Limiter;

/// What all requests share.
pub(crate) struct State {
    /// Postgres.
    pub(crate) database: Database,
    /// The installation's settings.
    pub(crate) platform: Platform,
    /// How Postgres did a moment ago.
    pub(crate) database_health: DatabaseHealth,
    /// Whose tokens are whose.
    pub(crate) authentication: Authentication,
    /// Counts requests.
    pub(crate) limiter: Limiter,
    /// Hashes passwords.
    pub(crate) hashing: Hashing,
    /// How long a session lasts.
    pub(crate) session_lifetime: TimeDelta,
    /// Wakes the relay after an accept.
    pub(crate) relay: RelayHandle,
    /// Asks workers.
    pub(crate) asker: Asker,
    /// Opens logs at workers.
    pub(crate) log_streams: Streams,
    /// Who reads logs.
    pub(crate) log_readers: Readers,
    /// What no worker could decode.
    pub(crate) dead_letters: DeadLetters,
    /// Deployments that change.
    pub(crate) changes: Changes,
    /// How long a client may take over its part.
    pub(crate) patience: Duration,
    /// Canceled when the process was asked to stop.
    pub(crate) stopping: CancellationToken,
}
