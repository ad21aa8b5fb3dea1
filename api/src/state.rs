//! The state of an API process: what all requests share.

use db::Database;
use queue::RelayHandle;

use crate::authentication::Authentication;
use crate::changes::Changes;

/// What all requests share.
pub struct State {
    /// Postgres.
    pub database: Database,
    /// Whose tokens are whose.
    pub authentication: Authentication,
    /// Wakes the relay after an accept.
    pub relay: RelayHandle,
    /// Deployments that change.
    pub changes: Changes,
}
