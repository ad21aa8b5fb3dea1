//! Rendering: our rows in, a whole service spec out. Pure, so that the same release renders the
//! same spec on every worker, and re-applying it restarts nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use model::app::App;
use model::health_check::{HealthCheck, HealthTest};
use model::id::DeploymentId;
use model::names;
use model::platform::Platform;
use model::release::Release;
use model::spec::AppSpec;
use model::update_policy::{FailureAction, UpdatePolicy};
use sha2::{Digest, Sha256};

use crate::files::Files;
use crate::probe::MountedProbe;
use crate::swarm::{
    Healthcheck, Login, MountedFile, Resources, RolloutSpec, ServiceSpec, TaskSpec,
};

/// Most processes and threads of a replica. A fork bomb ends here and not with the node.
const PIDS_LIMIT: i64 = 1024;

/// How long Swarm watches a task of its own rollback: the release was live before.
const ROLLBACK_MONITOR: Duration = Duration::from_secs(5);

/// What a service is rendered from.
pub(crate) struct Rendering<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) app: &'a App,
    pub(crate) release: &'a Release,
    /// The release's resolved image.
    pub(crate) image: &'a str,
    pub(crate) deployment: DeploymentId,
    pub(crate) replicas: i32,
    pub(crate) restart_counter: i64,
    /// Swarm's id of the environment's network.
    pub(crate) network: &'a str,
    /// The platform's health probe, where the release needs it.
    pub(crate) probe: Option<&'a MountedProbe>,
    /// The secrets and configs that the release mounts.
    pub(crate) files: &'a Files,
    /// What the image's registry is shown.
    pub(crate) login: &'a Login,
    /// What the service says that it carries of that.
    pub(crate) carried: Option<&'a str>,
    /// Whether the swarm has workers, so that tenants stay off its managers.
    pub(crate) has_workers: bool,
    /// Whether this brings an old release back, or what was live before somebody else changed it. Swarm
    /// then stops at a failure: rolling the way back back would make the failed release live, or what
    /// somebody else wrote.
    pub(crate) going_back: bool,
}

/// Renders the service of an app's release.
pub(crate) fn service(rendering: &Rendering<'_>) -> ServiceSpec {
    let spec = &rendering.release.spec.0;
    let task = task(rendering, spec);
    let policy = &spec.update_policy;
    let mut labels = owner_labels(rendering);
    labels.insert(names::LABEL_RELEASE.into(), rendering.release.id.to_string());
    labels.insert(names::LABEL_DEPLOYMENT.into(), rendering.deployment.to_string());
    let carried = match rendering.login {
        Login::Show(login) => Some(format!("{}/{}", login.credential, login.version)),
        Login::AsBefore => rendering.carried.map(str::to_owned),
        Login::Nothing => None,
    };
    labels.extend(carried.map(|carried| (names::LABEL_REGISTRY_LOGIN.into(), carried)));
    ServiceSpec {
        name: rendering.app.service_name.clone(),
        labels,
        replicas: rendering.replicas,
        spec_hash: hash(&task),
        task,
        restart_counter: rendering.restart_counter,
        update: update(policy, rendering.going_back),
        rollback: rollback(policy),
        endpoint_mode: spec.endpoint_mode.unwrap_or(rendering.platform.endpoint_mode),
        login: rendering.login.clone(),
    }
}

fn task(rendering: &Rendering<'_>, spec: &AppSpec) -> TaskSpec {
    let platform = rendering.platform;
    let limit = limit(spec);
    let reserved = reservation(platform, spec);
    let mut labels = owner_labels(rendering);
    labels.extend(
        spec.labels
            .iter()
            .map(|(key, value)| (format!("{}{key}", names::TENANT_LABEL_PREFIX), value.clone())),
    );
    let mut constraints = spec.constraints.clone();
    if rendering.has_workers && !platform.tenants_on_managers {
        constraints.push("node.role==worker".into());
    }
    TaskSpec {
        image: rendering.image.to_owned(),
        labels,
        command: spec.command.clone(),
        args: spec.args.clone(),
        env: env(spec),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        stop_signal: spec.stop_signal.clone(),
        stop_grace_period: seconds(spec.stop_grace_period_seconds),
        health_check: spec.health_check.as_ref().map(health_check),
        read_only: spec.read_only,
        init: spec.init,
        tmpfs: spec.tmpfs.clone(),
        configs: rendering
            .probe
            .map(|probe| MountedFile {
                id: probe.id.clone(),
                name: probe.name.clone(),
                path: names::PROBE_PATH.into(),
                mode: 0o555,
            })
            .into_iter()
            .chain(rendering.files.configs.iter().cloned())
            .collect(),
        secrets: rendering.files.secrets.clone(),
        cpu_limit_nanos: limit.cpu_nanos,
        cpu_reserved_nanos: reserved.cpu_nanos,
        memory_limit_bytes: limit.memory_bytes,
        memory_reserved_bytes: reserved.memory_bytes,
        pids_limit: PIDS_LIMIT,
        restart: spec.restart.condition,
        restart_delay: seconds(spec.restart.delay_seconds),
        constraints,
        network: rendering.network.to_owned(),
        aliases: names::aliases(&rendering.app.slug).into(),
    }
}

/// What the tenant set, and where the files of secrets and configs are. Never what is in them.
fn env(spec: &AppSpec) -> BTreeMap<String, String> {
    let told = spec.mounted().filter_map(|file| Some((file.variable()?, file.path())));
    spec.env.clone().into_iter().chain(told).collect()
}

/// What a replica may use.
fn limit(spec: &AppSpec) -> Resources {
    Resources {
        cpu_nanos: i64::from(spec.cpu_millis) * 1_000_000,
        memory_bytes: i64::from(spec.memory_mb) << 20,
    }
}

/// What is reserved for a replica on its node.
pub(crate) fn reservation(platform: &Platform, spec: &AppSpec) -> Resources {
    let limit = limit(spec);
    Resources {
        cpu_nanos: share(limit.cpu_nanos, platform.cpu_reservation_ratio),
        memory_bytes: share(limit.memory_bytes, platform.memory_reservation_ratio),
    }
}

/// Labels that tell whose an object is. None of them changes in an app's life.
fn owner_labels(rendering: &Rendering<'_>) -> BTreeMap<String, String> {
    let app = rendering.app;
    BTreeMap::from([
        (names::LABEL_PLATFORM.into(), rendering.platform.name.clone()),
        (names::LABEL_ORGANIZATION.into(), app.organization_id.to_string()),
        (names::LABEL_ENVIRONMENT.into(), app.environment_id.to_string()),
        (names::LABEL_APP.into(), app.id.to_string()),
    ])
}

fn health_check(check: &HealthCheck) -> Healthcheck {
    let timeout = seconds(check.timeout_seconds);
    // The probe gives up a little before Docker kills it, so that its one line says what it waited
    // for.
    let patience = (timeout.as_millis() * 9 / 10).to_string();
    let probe = |words: &[&str]| {
        std::iter::once(names::PROBE_PATH).chain(words.iter().copied()).map(String::from).collect()
    };
    Healthcheck {
        command: match &check.test {
            HealthTest::Http { port, path } => probe(&["http", &port.to_string(), &patience, path]),
            HealthTest::Tcp { port } => probe(&["tcp", &port.to_string(), &patience]),
            HealthTest::Command { command } => command.clone(),
        },
        interval: seconds(check.interval_seconds),
        timeout,
        start_period: seconds(check.start_period_seconds),
        retries: check.retries,
    }
}

fn update(policy: &UpdatePolicy, going_back: bool) -> RolloutSpec {
    RolloutSpec {
        parallelism: policy.parallelism,
        delay: seconds(policy.delay_seconds),
        monitor: seconds(policy.monitor_seconds),
        max_failure_ratio: policy.max_failure_ratio,
        order: policy.order,
        failure_action: if going_back { FailureAction::Pause } else { policy.failure_action },
    }
}

fn rollback(policy: &UpdatePolicy) -> RolloutSpec {
    RolloutSpec {
        parallelism: policy.parallelism,
        delay: Duration::ZERO,
        monitor: ROLLBACK_MONITOR,
        max_failure_ratio: policy.max_failure_ratio,
        order: policy.order,
        failure_action: FailureAction::Pause,
    }
}

/// Hash of what makes a task.
pub(crate) fn hash(task: &TaskSpec) -> String {
    // A struct of our own with a fixed order of fields: equal specs give equal bytes.
    let bytes = serde_json::to_vec(task).unwrap_or_default();
    hex::encode(&Sha256::digest(bytes)[..16])
}

fn share(limit: i64, ratio: f32) -> i64 {
    (limit as f64 * f64::from(ratio)) as i64
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
