//! Our specs as the Engine API wants them. Nothing is left to Docker's defaults where a default
//! would be unsafe or surprising.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use bollard::models::{
    ConfigSpec as DockerConfigSpec, EndpointSpec, EndpointSpecModeEnum, HealthConfig, Ipam,
    IpamConfig, Limit, Mount, MountTmpfsOptions, MountType, NetworkAttachmentConfig,
    NetworkCreateRequest, ResourceObject, SecretSpec as DockerSecretSpec,
    ServiceSpec as DockerServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated,
    ServiceSpecRollbackConfig, ServiceSpecRollbackConfigFailureActionEnum,
    ServiceSpecRollbackConfigOrderEnum, ServiceSpecUpdateConfig,
    ServiceSpecUpdateConfigFailureActionEnum, ServiceSpecUpdateConfigOrderEnum,
    TaskSpec as DockerTaskSpec, TaskSpecContainerSpec, TaskSpecContainerSpecConfigs,
    TaskSpecContainerSpecFile, TaskSpecContainerSpecFile1, TaskSpecContainerSpecPrivileges,
    TaskSpecContainerSpecSecrets, TaskSpecLogDriver, TaskSpecPlacement, TaskSpecResources,
    TaskSpecRestartPolicy, TaskSpecRestartPolicyConditionEnum,
};
use model::names;
use model::spec::{EndpointMode, RestartCondition};
use model::update_policy::{FailureAction, UpdateOrder};

use secrecy::ExposeSecret as _;

use crate::swarm::{
    ConfigSpec, Login, NetworkSpec, RegistryLogin, RolloutSpec, SecretSpec, ServiceSpec, TaskSpec,
};

/// What a container may still do as root: what ordinary images need to start and to drop their
/// privileges, and nothing that reaches the host.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
];

/// Rotation of a container's log on its node: a chatty tenant must not fill the disk.
const LOG_OPTIONS: &[(&str, &str)] = &[("max-size", "10m"), ("max-file", "3")];

pub(super) fn service(spec: &ServiceSpec) -> DockerServiceSpec {
    DockerServiceSpec {
        name: Some(spec.name.clone()),
        labels: Some(map(&spec.labels)),
        task_template: Some(task(spec)),
        mode: Some(ServiceSpecMode {
            replicated: Some(ServiceSpecModeReplicated {
                replicas: Some(i64::from(spec.replicas)),
            }),
            ..ServiceSpecMode::default()
        }),
        update_config: Some(update(&spec.update)),
        rollback_config: Some(rollback(&spec.rollback)),
        networks: None,
        endpoint_spec: Some(EndpointSpec {
            mode: Some(match spec.endpoint_mode {
                EndpointMode::Vip => EndpointSpecModeEnum::VIP,
                EndpointMode::Dnsrr => EndpointSpecModeEnum::DNSRR,
            }),
            ports: None,
        }),
    }
}

fn task(service: &ServiceSpec) -> DockerTaskSpec {
    let spec = &service.task;
    DockerTaskSpec {
        container_spec: Some(container(spec, &service.spec_hash)),
        resources: Some(TaskSpecResources {
            limits: Some(Limit {
                nano_cpus: Some(spec.cpu_limit_nanos),
                memory_bytes: Some(spec.memory_limit_bytes),
                pids: Some(spec.pids_limit),
            }),
            reservations: Some(ResourceObject {
                nano_cpus: Some(spec.cpu_reserved_nanos),
                memory_bytes: Some(spec.memory_reserved_bytes),
                generic_resources: None,
            }),
            ..TaskSpecResources::default()
        }),
        restart_policy: Some(TaskSpecRestartPolicy {
            condition: Some(match spec.restart {
                RestartCondition::Any => TaskSpecRestartPolicyConditionEnum::ANY,
                RestartCondition::OnFailure => TaskSpecRestartPolicyConditionEnum::ON_FAILURE,
                RestartCondition::None => TaskSpecRestartPolicyConditionEnum::NONE,
            }),
            delay: Some(nanos(spec.restart_delay)),
            ..TaskSpecRestartPolicy::default()
        }),
        placement: Some(TaskSpecPlacement {
            constraints: Some(spec.constraints.clone()),
            ..TaskSpecPlacement::default()
        }),
        force_update: Some(u64::try_from(service.restart_counter).unwrap_or_default()),
        networks: Some(vec![NetworkAttachmentConfig {
            target: Some(spec.network.clone()),
            aliases: Some(spec.aliases.clone()),
            driver_opts: None,
        }]),
        log_driver: Some(TaskSpecLogDriver {
            name: Some("json-file".into()),
            options: Some(
                LOG_OPTIONS.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ),
        }),
        ..DockerTaskSpec::default()
    }
}

fn container(spec: &TaskSpec, spec_hash: &str) -> TaskSpecContainerSpec {
    let mut labels = map(&spec.labels);
    labels.insert(names::LABEL_SPEC.into(), spec_hash.into());
    let secrets = spec.secrets.iter().map(|secret| TaskSpecContainerSpecSecrets {
        file: Some(TaskSpecContainerSpecFile {
            name: Some(secret.path.clone()),
            uid: Some("0".into()),
            gid: Some("0".into()),
            mode: Some(secret.mode),
        }),
        secret_id: Some(secret.id.clone()),
        secret_name: Some(secret.name.clone()),
    });
    let configs = spec.configs.iter().map(|config| TaskSpecContainerSpecConfigs {
        file: Some(TaskSpecContainerSpecFile1 {
            name: Some(config.path.clone()),
            uid: Some("0".into()),
            gid: Some("0".into()),
            mode: Some(config.mode),
        }),
        runtime: None,
        config_id: Some(config.id.clone()),
        config_name: Some(config.name.clone()),
    });
    let mounts = spec.tmpfs.iter().map(|tmpfs| Mount {
        target: Some(tmpfs.path.clone()),
        typ: Some(MountType::TMPFS),
        tmpfs_options: Some(MountTmpfsOptions {
            size_bytes: Some(i64::from(tmpfs.size_mb) << 20),
            ..MountTmpfsOptions::default()
        }),
        ..Mount::default()
    });
    TaskSpecContainerSpec {
        image: Some(spec.image.clone()),
        labels: Some(labels),
        command: spec.command.clone(),
        args: spec.args.clone(),
        env: Some(
            spec.env.iter().map(|(name, value)| format!("{name}={}", literal(value))).collect(),
        ),
        dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        // Engines before 23.0 ignore the field; there the daemon's own setting does it.
        privileges: Some(TaskSpecContainerSpecPrivileges {
            no_new_privileges: Some(true),
            ..TaskSpecContainerSpecPrivileges::default()
        }),
        read_only: Some(spec.read_only),
        mounts: Some(mounts.collect()),
        stop_signal: Some(spec.stop_signal.clone()),
        stop_grace_period: Some(nanos(spec.stop_grace_period)),
        health_check: spec.health_check.as_ref().map(|check| HealthConfig {
            test: Some(std::iter::once("CMD".to_owned()).chain(check.command.clone()).collect()),
            interval: Some(nanos(check.interval)),
            timeout: Some(nanos(check.timeout)),
            retries: Some(i64::from(check.retries)),
            start_period: Some(nanos(check.start_period)),
            start_interval: None,
        }),
        configs: Some(configs.collect()),
        secrets: (!spec.secrets.is_empty()).then(|| secrets.collect()),
        init: Some(spec.init),
        capability_drop: Some(vec!["ALL".into()]),
        capability_add: Some(CAPABILITIES.iter().map(|name| (*name).to_owned()).collect()),
        ..TaskSpecContainerSpec::default()
    }
}

fn update(spec: &RolloutSpec) -> ServiceSpecUpdateConfig {
    ServiceSpecUpdateConfig {
        parallelism: Some(i64::from(spec.parallelism)),
        delay: Some(nanos(spec.delay)),
        failure_action: Some(match spec.failure_action {
            FailureAction::Rollback => ServiceSpecUpdateConfigFailureActionEnum::ROLLBACK,
            FailureAction::Pause => ServiceSpecUpdateConfigFailureActionEnum::PAUSE,
        }),
        monitor: Some(nanos(spec.monitor)),
        max_failure_ratio: Some(f64::from(spec.max_failure_ratio)),
        order: Some(match spec.order {
            UpdateOrder::StartFirst => ServiceSpecUpdateConfigOrderEnum::START_FIRST,
            UpdateOrder::StopFirst => ServiceSpecUpdateConfigOrderEnum::STOP_FIRST,
        }),
    }
}

/// Swarm never rolls a rollback back: when that fails too, it pauses, and the worker decides.
fn rollback(spec: &RolloutSpec) -> ServiceSpecRollbackConfig {
    ServiceSpecRollbackConfig {
        parallelism: Some(i64::from(spec.parallelism)),
        delay: Some(nanos(spec.delay)),
        failure_action: Some(ServiceSpecRollbackConfigFailureActionEnum::PAUSE),
        monitor: Some(nanos(spec.monitor)),
        max_failure_ratio: Some(f64::from(spec.max_failure_ratio)),
        order: Some(match spec.order {
            UpdateOrder::StartFirst => ServiceSpecRollbackConfigOrderEnum::START_FIRST,
            UpdateOrder::StopFirst => ServiceSpecRollbackConfigOrderEnum::STOP_FIRST,
        }),
    }
}

pub(super) fn network(spec: &NetworkSpec) -> NetworkCreateRequest {
    let mut options = HashMap::new();
    if spec.encrypted {
        options.insert("encrypted".to_owned(), String::new());
    }
    if let Some(mtu) = spec.mtu {
        options.insert("com.docker.network.driver.mtu".into(), mtu.to_string());
    }
    NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some("overlay".into()),
        attachable: Some(false),
        internal: Some(spec.internal),
        ipam: Some(Ipam {
            driver: Some("default".into()),
            config: Some(vec![IpamConfig {
                subnet: Some(spec.subnet.to_string()),
                ..IpamConfig::default()
            }]),
            options: None,
        }),
        options: Some(options),
        labels: Some(map(&spec.labels)),
        ..NetworkCreateRequest::default()
    }
}

/// What Docker shows a registry. Without one it shows nothing: a daemon keeps no logins of its own.
pub(super) fn login(login: &RegistryLogin) -> DockerCredentials {
    let secret = Some(login.secret.expose_secret().to_owned());
    let serveraddress = Some(match login.registry.as_str() {
        // Docker's name for its own.
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    });
    match &login.username {
        Some(username) => DockerCredentials {
            username: Some(username.clone()),
            password: secret,
            serveraddress,
            ..DockerCredentials::default()
        },
        None => DockerCredentials {
            identitytoken: secret,
            serveraddress,
            ..DockerCredentials::default()
        },
    }
}

/// With a new service.
pub(super) fn login_of_new(shown: &Login) -> Option<DockerCredentials> {
    match shown {
        Login::Show(shown) => Some(login(shown)),
        Login::Nothing | Login::AsBefore => None,
    }
}

/// With an update. Where nothing is sent, Docker keeps what the service had: to show nothing has to be said.
pub(super) fn login_of_update(shown: &Login) -> Option<DockerCredentials> {
    match shown {
        Login::Show(shown) => Some(login(shown)),
        Login::Nothing => Some(DockerCredentials::default()),
        Login::AsBefore => None,
    }
}

pub(super) fn config(spec: &ConfigSpec<'_>) -> DockerConfigSpec {
    DockerConfigSpec {
        name: Some(spec.name.clone()),
        labels: Some(map(&spec.labels)),
        data: Some(STANDARD.encode(spec.content)),
        templating: None,
    }
}

pub(super) fn tenants_config(spec: &SecretSpec<'_>) -> DockerConfigSpec {
    DockerConfigSpec {
        name: Some(spec.name.clone()),
        labels: Some(map(&spec.labels)),
        data: Some(STANDARD.encode(spec.value.expose_secret())),
        templating: None,
    }
}

pub(super) fn secret(spec: &SecretSpec<'_>) -> DockerSecretSpec {
    DockerSecretSpec {
        name: Some(spec.name.clone()),
        labels: Some(map(&spec.labels)),
        data: Some(STANDARD.encode(spec.value.expose_secret())),
        driver: None,
        templating: None,
    }
}

/// A value that stays as it is: Swarm expands Go templates in environments, and `{{.Node.Hostname}}`
/// would tell a tenant the name of a host.
fn literal(value: &str) -> String {
    value.replace("{{", "{{\"{{\"}}")
}

/// Docker counts time in nanoseconds.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn map(labels: &BTreeMap<String, String>) -> HashMap<String, String> {
    labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
