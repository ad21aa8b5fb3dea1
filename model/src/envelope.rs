//! What travels on the broker: a versioned envelope of ids. A message is a wake-up, never data:
//! whoever receives it looks into Postgres.

use serde::{Deserialize, Serialize};

use crate::id::DeploymentId;

/// The newest version that this build writes and reads.
pub const ENVELOPE_VERSION: u16 = 1;

/// "Look: this deployment was queued."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Version of this form.
    pub version: u16,
    /// The deployment that caused the message; a hint, the claim decides.
    pub deployment: DeploymentId,
}

impl Envelope {
    /// The envelope of a queued deployment.
    pub const fn new(deployment: DeploymentId) -> Self {
        Self { version: ENVELOPE_VERSION, deployment }
    }
}
