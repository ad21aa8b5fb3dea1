//! How the platform asks a replica whether it is well. Docker can only run commands inside the
//! container; for HTTP and TCP the platform mounts its own probe (`names::PROBE_PATH`).

use serde::{Deserialize, Serialize};

/// A health check of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is asked.
    #[serde(flatten)]
    pub test: HealthTest,
    /// Whether the test's port is the app's, and follows it when that is patched. The port stands in
    /// `test` all the same: what is frozen has to be whole. An older version ignores this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub port_of_app: bool,
    /// Seconds between two probes (1–300).
    pub interval_seconds: u32,
    /// Seconds that one probe may take (1–60).
    pub timeout_seconds: u32,
    /// Failures in a row that make a replica unhealthy (1–10).
    pub retries: u32,
    /// Seconds after the start in which failures do not count (0–1800).
    pub start_period_seconds: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum HealthTest {
    /// A GET answered with a status from 200 to 399.
    Http {
        /// Container port.
        port: u16,
        /// Path, starting with a slash.
        path: String,
    },
    /// A TCP connection that is accepted.
    Tcp {
        /// Container port.
        port: u16,
    },
    /// A command of the image that exits 0 (exec form: no shell is assumed).
    Command {
        /// Program and arguments.
        command: Vec<String>,
    },
}

impl HealthTest {
    /// Whether the platform's probe has to be mounted for it.
    pub const fn needs_probe(&self) -> bool {
        match self {
            Self::Http { .. } | Self::Tcp { .. } => true,
            Self::Command { .. } => false,
        }
    }
}
