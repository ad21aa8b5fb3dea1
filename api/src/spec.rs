//! The app spec as the API has it, and its way to and from `model::spec::AppSpec`.
//!
//! Bounds stand here so that they show in the OpenAPI document; `model::policy` checks every spec
//! again before it is written, and decides.

mod health_check;
mod mounted;
mod rules;
mod update_policy;

use std::collections::BTreeMap;

use model::Error;
use model::error::Violation;
use model::spec::{EndpointMode, RestartCondition, RestartPolicy};
use poem_openapi::Object;
use serde::Serialize;
use serde_with::skip_serializing_none;

pub(crate) use health_check::HealthCheck;
pub(crate) use mounted::{MountedConfig, MountedSecret};
pub(crate) use rules::rule;
pub(crate) use update_policy::{Deadlines, UpdatePolicy};

use crate::word::Word;

/// How an app runs.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
pub(crate) struct AppSpec {
    /// Image reference with tag or digest: `[registry/]repository(:tag | @sha256:…)`.
    #[oai(validator(
        max_length = 255,
        pattern = r"^(((localhost|[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+)(:[0-9]+)?|[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?:[0-9]+)/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*|[a-z0-9]+((_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+|[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[a-f0-9]{64})?|@sha256:[a-f0-9]{64})$"
    ))]
    pub(crate) image: String,
    /// Replaces the image's entrypoint.
    #[oai(skip_serializing_if_is_none, validator(min_items = 1, max_items = 64))]
    pub(crate) command: Option<Vec<String>>,
    /// Replaces the image's arguments.
    #[oai(skip_serializing_if_is_none, validator(max_items = 64))]
    pub(crate) args: Option<Vec<String>>,
    /// User name or id inside the container, with `:group` at will.
    #[oai(
        skip_serializing_if_is_none,
        validator(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]*$")
    )]
    pub(crate) user: Option<String>,
    /// Working directory inside the container: an absolute path.
    #[oai(
        skip_serializing_if_is_none,
        validator(max_length = 255, pattern = "^/[^\\x00-\\x1f\\x7f:,]*$")
    )]
    pub(crate) working_dir: Option<String>,
    /// Environment variables; values of at most 32 KiB in all. Names that start with `SKEP_` are
    /// the platform's.
    #[oai(default, validator(max_properties = 256))]
    pub(crate) env: BTreeMap<String, String>,
    /// Secrets of the environment, as files below `/run/secrets`; `NAME_FILE` tells the app where each is.
    #[oai(default, validator(max_items = 64))]
    pub(crate) secrets: Vec<MountedSecret>,
    /// Configs of the environment, as files; `NAME_FILE` tells the app where each is.
    #[oai(default, validator(max_items = 64))]
    pub(crate) configs: Vec<MountedConfig>,
    /// Container port that the app serves on. Nothing is published on hosts.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "1"), maximum(value = "65535")))]
    pub(crate) port: Option<u16>,
    /// Further container ports.
    #[oai(default, validator(max_items = 64, minimum(value = "1"), maximum(value = "65535")))]
    pub(crate) extra_ports: Vec<u16>,
    /// CPU limit of a replica in cores, with at most three decimals.
    #[oai(default = "default_cpu", validator(minimum(value = "0.5"), maximum(value = "64")))]
    pub(crate) cpu: f64,
    /// Memory limit of a replica in MB (2^20 bytes).
    #[oai(
        default = "default_memory",
        validator(minimum(value = "256"), maximum(value = "262144"))
    )]
    pub(crate) memory: u32,
    /// Disk of a replica in GB (2^30 bytes): accounted and measured, not enforced.
    #[oai(default = "default_disk", validator(minimum(value = "1"), maximum(value = "500")))]
    pub(crate) disk: u32,
    /// How a replica is asked whether it is well.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) health_check: Option<HealthCheck>,
    /// How tasks are replaced.
    #[oai(default)]
    pub(crate) update_policy: UpdatePolicy,
    /// How long each stage of a deployment may take.
    #[oai(default)]
    pub(crate) deadlines: Deadlines,
    /// Which nodes it may run on.
    #[oai(default)]
    pub(crate) placement: Placement,
    /// Signal that asks the process to end.
    #[oai(
        default = "default_stop_signal",
        validator(pattern = "^SIG(TERM|INT|QUIT|HUP|USR1|USR2|WINCH|KILL)$")
    )]
    pub(crate) stop_signal: String,
    /// Seconds between that signal and SIGKILL.
    #[oai(
        default = "default_stop_grace_period",
        validator(minimum(value = "1"), maximum(value = "300"))
    )]
    pub(crate) stop_grace_period: u32,
    /// When a task that ended is started again.
    #[oai(default)]
    pub(crate) restart: Restart,
    /// Runs a small init as process 1.
    #[oai(default = "default_init")]
    pub(crate) init: bool,
    /// Makes the image's file system read-only.
    #[oai(default)]
    pub(crate) read_only: bool,
    /// Memory-backed directories.
    #[oai(default, validator(max_items = 64))]
    pub(crate) tmpfs: Vec<Tmpfs>,
    /// `null`: the platform's setting.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) endpoint_mode: Option<Word<EndpointMode>>,
    /// Your own labels.
    #[oai(default, validator(max_properties = 64))]
    pub(crate) labels: BTreeMap<String, String>,
}

/// Which nodes an app may run on.
#[derive(Debug, Clone, Default, PartialEq, Object, Serialize)]
pub(crate) struct Placement {
    /// `node.labels.KEY`, `node.platform.os` or `node.platform.arch`, then `==` or `!=` and a value.
    #[oai(
        default,
        validator(
            max_items = 64,
            pattern = r"^(node\.labels\.[A-Za-z0-9._-]{1,63}|node\.platform\.(os|arch)|node\.hostname)(==|!=)[A-Za-z0-9._-]{1,63}$"
        )
    )]
    pub(crate) constraints: Vec<String>,
}

/// When and after how long a task is started again.
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
pub(crate) struct Restart {
    /// When.
    #[oai(default = "default_restart_condition")]
    pub(crate) condition: Word<RestartCondition>,
    /// Seconds to wait.
    #[oai(default = "default_restart_delay", validator(maximum(value = "600")))]
    pub(crate) delay: u32,
}

/// A memory-backed directory; its content counts towards the memory limit.
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
pub(crate) struct Tmpfs {
    /// Absolute path inside the container.
    #[oai(validator(max_length = 255, pattern = "^/[^\\x00-\\x1f\\x7f:,]*$"))]
    pub(crate) path: String,
    /// Size in MB (2^20 bytes).
    #[oai(validator(minimum(value = "1"), maximum(value = "1024")))]
    pub(crate) size: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self { condition: default_restart_condition(), delay: default_restart_delay() }
    }
}

fn default_cpu() -> f64 {
    0.5
}

fn default_memory() -> u32 {
    512
}

fn default_disk() -> u32 {
    1
}

fn default_stop_signal() -> String {
    "SIGTERM".into()
}

fn default_stop_grace_period() -> u32 {
    10
}

fn default_init() -> bool {
    true
}

fn default_restart_condition() -> Word<RestartCondition> {
    Word(RestartPolicy::default().condition)
}

fn default_restart_delay() -> u32 {
    RestartPolicy::default().delay_seconds
}

impl TryFrom<AppSpec> for model::spec::AppSpec {
    type Error = Error;

    fn try_from(spec: AppSpec) -> Result<Self, Error> {
        let health_check = match spec.health_check {
            Some(check) => Some(check.into_model(spec.port)?),
            None => None,
        };
        Ok(Self {
            image: spec.image,
            command: spec.command,
            args: spec.args,
            user: spec.user,
            working_dir: spec.working_dir,
            env: spec.env,
            secrets: spec.secrets.into_iter().map(Into::into).collect(),
            configs: spec.configs.into_iter().map(Into::into).collect(),
            port: spec.port,
            extra_ports: spec.extra_ports,
            cpu_millis: cpu_millis(spec.cpu)?,
            memory_mb: spec.memory,
            disk_gb: spec.disk,
            health_check,
            update_policy: spec.update_policy.into(),
            deadlines: spec.deadlines.into(),
            constraints: spec.placement.constraints,
            stop_signal: spec.stop_signal,
            stop_grace_period_seconds: spec.stop_grace_period,
            restart: RestartPolicy {
                condition: spec.restart.condition.0,
                delay_seconds: spec.restart.delay,
            },
            init: spec.init,
            read_only: spec.read_only,
            tmpfs: spec
                .tmpfs
                .into_iter()
                .map(|tmpfs| model::spec::Tmpfs { path: tmpfs.path, size_mb: tmpfs.size })
                .collect(),
            endpoint_mode: spec.endpoint_mode.map(|mode| mode.0),
            labels: spec.labels,
        })
    }
}

impl From<model::spec::AppSpec> for AppSpec {
    fn from(spec: model::spec::AppSpec) -> Self {
        Self {
            image: spec.image,
            command: spec.command,
            args: spec.args,
            user: spec.user,
            working_dir: spec.working_dir,
            env: spec.env,
            secrets: spec.secrets.into_iter().map(Into::into).collect(),
            configs: spec.configs.into_iter().map(Into::into).collect(),
            port: spec.port,
            extra_ports: spec.extra_ports,
            cpu: f64::from(spec.cpu_millis) / 1000.0,
            memory: spec.memory_mb,
            disk: spec.disk_gb,
            health_check: spec.health_check.map(HealthCheck::from),
            update_policy: spec.update_policy.into(),
            deadlines: spec.deadlines.into(),
            placement: Placement { constraints: spec.constraints },
            stop_signal: spec.stop_signal,
            stop_grace_period: spec.stop_grace_period_seconds,
            restart: Restart {
                condition: Word(spec.restart.condition),
                delay: spec.restart.delay_seconds,
            },
            init: spec.init,
            read_only: spec.read_only,
            tmpfs: spec
                .tmpfs
                .into_iter()
                .map(|tmpfs| Tmpfs { path: tmpfs.path, size: tmpfs.size_mb })
                .collect(),
            endpoint_mode: spec.endpoint_mode.map(Word),
            labels: spec.labels,
        }
    }
}

/// Cores as thousandths. A fourth decimal is refused: it would come back as another number.
fn cpu_millis(cores: f64) -> Result<u32, Error> {
    let millis = cores * 1000.0;
    if (millis - millis.round()).abs() > 1e-6 {
        let violation = Violation::new("cpu", "a number of cores with at most three decimals");
        return Err(Error::invalid(vec![violation]));
    }
    // In range by the schema; `as` saturates, and the policy refuses what is out of range.
    Ok(millis.round() as u32)
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::{ParseFromJSON as _, ToJSON as _};
    use serde_json::json;

    use super::*;

    fn parsed(json: serde_json::Value) -> model::spec::AppSpec {
        AppSpec::parse_from_json(Some(json)).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_defaults_are_the_models() {
        let spec = parsed(json!({ "image": "web:v1" }));
        assert_eq!(spec, model::spec::AppSpec::of_image("web:v1"));
    }

    #[test]
    fn every_field_survives_the_way_in_and_out() {
        let full = json!({
            "image": "127.0.0.1:5000/web:v1",
            "command": ["/app"], "args": ["--port", "80"], "user": "1000:1000",
            "working_dir": "/srv", "env": { "A": "b" },
            "secrets": [{ "name": "db-password", "version": 3 }, { "name": "tls.key" }],
            "configs": [{ "name": "nginx", "path": "/etc/nginx/nginx.conf" }], "port": 8080, "extra_ports": [9090],
            "cpu": 1.25, "memory": 1024, "disk": 5,
            "health_check": { "http": { "path": "/healthz", "port": 8081 }, "interval": 7,
                "timeout": 2, "retries": 4, "start_period": 9 },
            "update_policy": { "parallelism": 2, "delay": 1, "monitor": 8,
                "max_failure_ratio": 0.3, "order": "stop-first", "failure_action": "pause" },
            "deadlines": { "schedule": 10, "pull": 30, "healthy": 9, "progress": 60 },
            "placement": { "constraints": ["node.labels.gpu==true"] },
            "stop_signal": "SIGINT", "stop_grace_period": 30,
            "restart": { "condition": "on-failure", "delay": 1 },
            "init": false, "read_only": true, "tmpfs": [{ "path": "/tmp", "size": 64 }],
            "endpoint_mode": "dnsrr", "labels": { "team": "a" },
        });
        let spec = parsed(full.clone());
        assert_eq!(model::policy::check(&spec, model::policy::Exceptions::NONE), []);
        let back = AppSpec::from(spec.clone()).to_json().unwrap();
        assert_eq!(back, full);
        assert_eq!(parsed(back), spec);
    }

    #[test]
    fn the_schema_takes_the_signals_that_the_policy_takes() {
        for signal in model::policy::STOP_SIGNALS {
            let spec = json!({ "image": "web:v1", "stop_signal": signal });
            assert_eq!(parsed(spec).stop_signal, *signal);
        }
        let spec = json!({ "image": "web:v1", "stop_signal": "SIGSTOP" });
        assert!(AppSpec::parse_from_json(Some(spec)).is_err());
    }

    #[test]
    fn cores_have_three_decimals() {
        assert_eq!(cpu_millis(0.5).ok(), Some(500));
        assert_eq!(cpu_millis(1.001).ok(), Some(1001));
        assert!(cpu_millis(0.50049).is_err());
    }
}
