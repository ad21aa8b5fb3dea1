//! Effects: what was changed in the simulated Swarm through its API, and when. A search judges by
//! them who acted at a time when it should not have.

use tokio::time::Instant;

/// One change that was asked for and made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// When.
    pub at: Instant,
    /// What.
    pub call: Call,
    /// The name of the service, network, config or secret.
    pub name: String,
    /// Of a service: the deployment that its spec names. Of one that was removed: named.
    pub deployment: Option<String>,
}

/// The calls that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the trait's method of that name")]
pub enum Call {
    ServiceCreate,
    ServiceUpdate,
    ServiceRemove,
    NetworkCreate,
    NetworkRemove,
    ConfigCreate,
    SecretCreate,
    SecretRemove,
}
