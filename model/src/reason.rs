//! Reason codes: why a deployment ended as it did. The code is for programs and stays; the
//! sentence beside it is for people and names the numbers.

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// Why a deployment ended (or is being rolled back).
    pub enum ReasonCode {
        /// The release is live and was healthy through the window.
        Live => "live",
        /// The same release was already live: nothing was touched.
        Unchanged => "unchanged",
        /// What should be live was brought back after somebody else had changed it.
        Repaired => "repaired",
        /// The app was stopped: no replica of it runs.
        Stopped => "stopped",
        /// Its owner withdrew it; what was live before is live.
        Canceled => "canceled",
        /// The app and what it owned in Swarm are gone.
        Removed => "removed",
        /// A newer deployment of the app took over.
        NewerDeployment => "newer_deployment",
        /// The registry has no such image.
        ImageNotFound => "image_not_found",
        /// The registry refuses to hand the image out.
        ImageForbidden => "image_forbidden",
        /// The registry did not answer in time.
        RegistryUnavailable => "registry_unavailable",
        /// The environment's network could not be had from Swarm.
        NetworkUnavailable => "network_unavailable",
        /// A secret or a config that the release mounts could not be delivered.
        SecretUnavailable => "secret_unavailable",
        /// No node has the resources, or none matches the constraints.
        Unschedulable => "unschedulable",
        /// A task was not given a node in time.
        ScheduleDeadline => "schedule_deadline",
        /// An image was not there in time.
        PullDeadline => "pull_deadline",
        /// A replica did not become healthy in time.
        HealthyDeadline => "healthy_deadline",
        /// No replica made progress for too long.
        ProgressDeadline => "progress_deadline",
        /// A replica's health check said no.
        Unhealthy => "unhealthy",
        /// A replica's process ended.
        Exited => "exited",
        /// A replica was killed for using more memory than its limit.
        OutOfMemory => "out_of_memory",
        /// A node would not start the task.
        Rejected => "rejected",
        /// Swarm refused the spec.
        SpecRefused => "spec_refused",
        /// Swarm gave up on the update or on its own rollback.
        UpdatePaused => "update_paused",
        /// Somebody changed or removed the service while we drove it.
        ChangedOutside => "changed_outside",
    }
}

/// A reason: the stable code and one sentence good enough to act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For programs.
    pub code: ReasonCode,
    /// For people.
    pub sentence: String,
}

impl Reason {
    /// A reason with its sentence.
    pub fn new(code: ReasonCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }
}
