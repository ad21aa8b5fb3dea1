//! The app spec: everything that a release freezes about how an app runs. Replicas are not in it
//! (they belong to the app), nor is anything that the platform decides by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::health_check::HealthCheck;
use crate::platform::Platform;
use crate::secret::{ConfigRef, MountedRef, SecretKind, SecretRef};
use crate::text_enum::text_enum;
use crate::update_policy::{Deadlines, UpdateOrder, UpdatePolicy};

/// The first version of stored specs that have secrets and configs.
const WITH_SECRETS: i16 = 4;
/// Seconds that Swarm waits for a task to stop before it starts the next one all the same: one that never got
/// a node never stops (SwarmKit: `defaultOldTaskTimeout` of the restart supervisor).
const OLD_TASK_TIMEOUT: u32 = 60;

text_enum! {
    /// How the name of an app resolves inside its network.
    pub enum EndpointMode {
        /// One virtual address, balanced by IPVS. Idle TCP connections drop after 900 s.
        Vip => "vip",
        /// The addresses of the replicas, in turn.
        Dnsrr => "dnsrr",
    }
}

text_enum! {
    /// When Swarm restarts a task that ended.
    pub enum RestartCondition {
        /// Always.
        Any => "any",
        /// When it ended with an error.
        OnFailure => "on-failure",
        /// Never.
        None => "none",
    }
}

/// When and after how long a task is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// When.
    pub condition: RestartCondition,
    /// Seconds to wait (0–600). Swarm's delay is fixed, it does not grow.
    pub delay_seconds: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { condition: RestartCondition::Any, delay_seconds: 5 }
    }
}

/// A memory-backed directory inside the container; its content counts towards the memory limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Absolute path inside the container.
    pub path: String,
    /// Size in MB (1–1024).
    pub size_mb: u32,
}

/// How an app runs. PRODUCT.md, "App spec".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppSpec {
    /// Image reference with tag or digest, as the tenant wrote it.
    pub image: String,
    /// Replaces the image's entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replaces the image's arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// User (and group) inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Working directory inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Secrets that become files below `/run/secrets`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretRef>,
    /// Configs that become files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ConfigRef>,
    /// The port that the app serves on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Further container ports. Nothing is published on hosts.
    pub extra_ports: Vec<u16>,
    /// CPU limit of a replica, in thousandths of a core.
    pub cpu_millis: u32,
    /// Memory limit of a replica, in MB (2^20 bytes).
    pub memory_mb: u32,
    /// Disk of a replica in GB (2^30 bytes): accounted, not enforced (Swarm cannot).
    pub disk_gb: u32,
    /// How a replica is asked whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// How tasks are replaced.
    pub update_policy: UpdatePolicy,
    /// How long each stage may take.
    pub deadlines: Deadlines,
    /// Constraints on nodes, from the allow-list of `policy`.
    pub constraints: Vec<String>,
    /// Signal that asks the process to end.
    pub stop_signal: String,
    /// Seconds between that signal and SIGKILL.
    pub stop_grace_period_seconds: u32,
    /// When an ended task is started again.
    pub restart: RestartPolicy,
    /// Runs a small init as process 1.
    pub init: bool,
    /// Makes the image's file system read-only.
    pub read_only: bool,
    /// Memory-backed directories.
    pub tmpfs: Vec<Tmpfs>,
    /// `None`: the platform's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_mode: Option<EndpointMode>,
    /// The tenant's own labels, prefixed when they reach Swarm.
    pub labels: BTreeMap<String, String>,
}

impl AppSpec {
    /// A spec of this image with PRODUCT.md's default in every other field.
    pub fn of_image(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            command: None,
            args: None,
            user: None,
            working_dir: None,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            configs: Vec::new(),
            port: None,
            extra_ports: Vec::new(),
            cpu_millis: 500,
            memory_mb: 512,
            disk_gb: 1,
            health_check: None,
            update_policy: UpdatePolicy::SAFE,
            deadlines: Deadlines::default(),
            constraints: Vec::new(),
            stop_signal: "SIGTERM".into(),
            stop_grace_period_seconds: 10,
            restart: RestartPolicy::default(),
            init: true,
            read_only: false,
            tmpfs: Vec::new(),
            endpoint_mode: None,
            labels: BTreeMap::new(),
        }
    }

    /// Version of the stored form of this spec: the first one whose workers know all of it. A worker never claims a deployment whose
    /// spec is newer than what it knows ([`WORK_VERSION`](crate::deployment::WORK_VERSION)).
    pub fn version(&self) -> i16 {
        if self.mounted().next().is_some() { WITH_SECRETS } else { 1 }
    }

    /// The secrets and configs that it refers to.
    pub fn mounted(&self) -> impl Iterator<Item = MountedRef<'_>> {
        let secrets = self.secrets.iter().map(MountedRef::secret);
        secrets.chain(self.configs.iter().map(MountedRef::config))
    }

    /// The references, to be changed.
    pub fn references_mut(&mut self) -> impl Iterator<Item = (SecretKind, &mut SecretRef)> {
        let secrets = self.secrets.iter_mut().map(|secret| (SecretKind::Secret, secret));
        let configs = self.configs.iter_mut();
        secrets.chain(configs.map(|config| (SecretKind::Config, &mut config.config)))
    }

    /// This spec with the platform's deadlines where it states none: what is checked before it is written.
    #[must_use]
    pub fn settled(self, platform: &Platform) -> Self {
        Self { deadlines: self.deadlines.settled(&platform.deadlines()), ..self }
    }

    /// Seconds that may pass without another healthy replica: the deadline, and where a task has to stop before the
    /// next one starts, what Swarm itself waits for one that does not. The policy may have it so, or Swarm: a
    /// task that waits for leave to start is held back by one that was given up before it had a node
    /// (`unplaced`), whatever the order (SwarmKit: `useExistingTask` of the updater).
    pub fn progress_seconds(&self, unplaced: bool) -> u32 {
        let waits = match self.update_policy.order {
            UpdateOrder::StartFirst if !unplaced => 0,
            UpdateOrder::StartFirst | UpdateOrder::StopFirst => OLD_TASK_TIMEOUT,
        };
        self.deadlines.progress_seconds + waits
    }

    /// This spec as a release has it: whole, whatever the platform is set to later.
    #[must_use]
    pub fn frozen(self, platform: &Platform) -> Self {
        let settled = self.settled(platform);
        let endpoint_mode = settled.endpoint_mode.or(Some(platform.endpoint_mode));
        Self { deadlines: settled.deadlines.frozen(), endpoint_mode, ..settled }
    }
}
