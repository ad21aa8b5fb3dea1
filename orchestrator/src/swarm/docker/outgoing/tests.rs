//! Whatever a tenant may ask for, this is all that Docker is told: the policy's check, rendering and the
//! Engine's form together, held against an allow-list of their own. Run it at length with
//! `PROPTEST_CASES=1000000`.

mod specs;

use std::collections::BTreeMap;

use chrono::Utc;
use model::app::App;
use model::capacity::Reserved;
use model::drift::OnDrift;
use model::id::{AppId, DeploymentId, EnvironmentId, OrganizationId, ReleaseId};
use model::names;
use model::platform::{Encryption, Platform};
use model::policy::{self, Exceptions, PolicyException};
use model::release::Release;
use model::spec::{AppSpec, EndpointMode};
use model::stored::Stored;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::files::Files;
use crate::probe::MountedProbe;
use crate::render::{self, Rendering};
use specs::{change, changed};

/// What of a service is not the tenant's to choose.
struct Given {
    platform: Platform,
    app: App,
    release: Release,
    deployment: DeploymentId,
    has_workers: bool,
    exceptions: Exceptions,
}

const IMAGE: &str = "docker.io/library/web@sha256:00";
const NETWORK: &str = "network-of-the-environment";

fn given(
    spec: AppSpec,
    has_workers: bool,
    tenants_on_managers: bool,
    exceptions: Exceptions,
) -> Given {
    let (organization_id, app_id) = (OrganizationId::new(), AppId::new());
    let (created_at, updated_at) = (Utc::now(), Utc::now());
    let platform = Platform {
        name: "skep".into(),
        endpoint_mode: EndpointMode::Vip,
        local_images: false,
        cpu_reservation_ratio: 0.5,
        memory_reservation_ratio: 0.5,
        tenants_on_managers,
        encryption: Encryption::On,
        network_mtu: None,
        deadline_schedule_seconds: 120,
        deadline_pull_seconds: 300,
        deadline_healthy_seconds: 300,
        deadline_progress_seconds: 600,
        on_drift: OnDrift::Repair,
        on_disk_full: model::disk::OnDiskFull::Warn,
    };
    let app = App {
        id: app_id,
        organization_id,
        environment_id: EnvironmentId::new(),
        slug: "web".into(),
        service_name: names::service_name("web", app_id),
        spec: Stored(spec.clone()),
        spec_version: 1,
        replicas: 1,
        last_release: 1,
        live_release_id: None,
        live_restart_counter: 0,
        live_replicas: None,
        live_version: None,
        reserved: Reserved::default(),
        stopped_at: None,
        removal_requested_at: None,
        removed_at: None,
        created_at,
        updated_at,
    };
    let release = Release {
        id: ReleaseId::new(),
        organization_id,
        app_id,
        number: 1,
        spec: Stored(spec.frozen(&platform)),
        spec_version: 1,
        resolved_image: Some(IMAGE.into()),
        stable_at: None,
        created_at,
        updated_at,
    };
    Given { platform, app, release, deployment: DeploymentId::new(), has_workers, exceptions }
}

impl Given {
    const fn is_large(&self) -> bool {
        self.exceptions.have(PolicyException::LargeReplicas)
    }

    /// What Docker is told.
    fn told(&self) -> Value {
        let needs_probe = self.release.spec.0.health_check.as_ref().map(|c| c.test.needs_probe());
        let probe = MountedProbe { id: "probe-id".into(), name: "probe-name".into() };
        let spec = render::service(&Rendering {
            platform: &self.platform,
            app: &self.app,
            release: &self.release,
            image: IMAGE,
            deployment: self.deployment,
            replicas: 1,
            restart_counter: 0,
            network: NETWORK,
            probe: needs_probe.unwrap_or_default().then_some(&probe),
            files: &Files::default(),
            login: &crate::swarm::Login::Nothing,
            carried: None,
            has_workers: self.has_workers,
            going_back: false,
        });
        serde_json::to_value(super::service(&spec)).unwrap()
    }

    /// Labels that tell whose the service is.
    fn owner(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (names::LABEL_PLATFORM, "skep".into()),
            (names::LABEL_ORGANIZATION, self.app.organization_id.to_string()),
            (names::LABEL_ENVIRONMENT, self.app.environment_id.to_string()),
            (names::LABEL_APP, self.app.id.to_string()),
        ])
    }

    /// Whether Docker may be told this: one value, by its path. What is not listed is not allowed.
    fn allows(&self, path: &str, value: &Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        let number = value.as_i64().unwrap_or(-1);
        if let Some(label) = path.strip_prefix("Labels.") {
            return match label {
                names::LABEL_RELEASE => text == self.release.id.to_string(),
                names::LABEL_DEPLOYMENT => text == self.deployment.to_string(),
                owner => self.owner().get(owner).is_some_and(|whose| whose == text),
            };
        }
        if let Some(label) = path.strip_prefix("TaskTemplate.ContainerSpec.Labels.") {
            return match label.strip_prefix(names::TENANT_LABEL_PREFIX) {
                Some(_) => true,
                None if label == names::LABEL_SPEC => true,
                None => self.owner().get(label).is_some_and(|whose| whose == text),
            };
        }
        let rollouts = ["UpdateConfig.", "RollbackConfig.", "TaskTemplate.RestartPolicy."];
        if rollouts.iter().any(|rollout| path.starts_with(rollout)) {
            return [
                "Parallelism",
                "Delay",
                "Monitor",
                "MaxFailureRatio",
                "Order",
                "FailureAction",
                "Condition",
            ]
            .iter()
            .any(|allowed| path.ends_with(&format!(".{allowed}")));
        }
        match path.strip_prefix("TaskTemplate.ContainerSpec.").unwrap_or(path) {
            "Name" => text == self.app.service_name,
            "Mode.Replicated.Replicas" => number == 1,
            "EndpointSpec.Mode" => ["vip", "dnsrr"].contains(&text),
            "TaskTemplate.ForceUpdate" => number == 0,
            "TaskTemplate.Networks[].Target" => text == NETWORK,
            "TaskTemplate.Networks[].Aliases[]" => ["web", "web.internal"].contains(&text),
            "TaskTemplate.LogDriver.Name" => text == "json-file",
            "TaskTemplate.LogDriver.Options.max-size"
            | "TaskTemplate.LogDriver.Options.max-file" => true,
            "TaskTemplate.Placement.Constraints[]" => {
                let named = self.exceptions.have(PolicyException::NamedNodes);
                text == "node.role==worker"
                    || ["node.labels.", "node.platform.os", "node.platform.arch"]
                        .iter()
                        .chain(named.then_some(&"node.hostname"))
                        .any(|allowed| text.starts_with(allowed))
                        && !text.contains([',', ' ', '\0'])
            }
            "TaskTemplate.Resources.Limits.NanoCPUs" => {
                number > 0
                    && number <= if self.is_large() { 64_000_000_000 } else { 16_000_000_000 }
            }
            "TaskTemplate.Resources.Limits.MemoryBytes" => {
                number > 0 && number <= if self.is_large() { 256 << 30 } else { 32 << 30 }
            }
            "TaskTemplate.Resources.Limits.Pids" => (1..=1024).contains(&number),
            "TaskTemplate.Resources.Reservations.NanoCPUs"
            | "TaskTemplate.Resources.Reservations.MemoryBytes" => number > 0,
            "Image" => text == IMAGE,
            "Command[]" | "Args[]" | "HealthCheck.Test[]" => !text.contains('\0'),
            "HealthCheck.Interval"
            | "HealthCheck.Timeout"
            | "HealthCheck.Retries"
            | "HealthCheck.StartPeriod"
            | "StopGracePeriod" => number >= 0,
            // Swarm expands templates here.
            "Env[]" => {
                !text.starts_with(policy::RESERVED_ENV_PREFIX)
                    && !text.contains('\0')
                    && !text.replace("{{\"{{\"}}", "").contains("{{")
            }
            "Dir" | "Mounts[].Target" => {
                text.starts_with('/')
                    && !text.contains(['{', ':', ',', '\0'])
                    && text.split('/').all(|part| part != "..")
            }
            "User" => !text.is_empty() && !text.contains([' ', '{', '/', '\0']),
            "Privileges.NoNewPrivileges" => value == true,
            "ReadOnly" | "Init" => value.is_boolean(),
            "Mounts[].Type" => text == "tmpfs",
            "Mounts[].TmpfsOptions.SizeBytes" => (1..=1 << 30).contains(&number),
            "StopSignal" => policy::STOP_SIGNALS.contains(&text),
            "Configs[].ConfigID" => text == "probe-id",
            "Configs[].ConfigName" => text == "probe-name",
            "Configs[].File.Name" => text == names::PROBE_PATH,
            "Configs[].File.UID" | "Configs[].File.GID" => text == "0",
            "Configs[].File.Mode" => number == 0o555,
            "CapabilityDrop[]" => text == "ALL",
            "CapabilityAdd[]" => super::CAPABILITIES.contains(&text),
            _ => false,
        }
    }
}

/// Every value below `value`, by its path: `A.B[].C`.
fn leaves<'v>(path: &str, value: &'v Value, found: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&below, value, found);
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| leaves(&format!("{path}[]"), item, found))
        }
        _ => found.push((path.to_owned(), value)),
    }
}

#[test]
fn an_admitted_spec_reaches_nothing_but_its_own() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let (tried, admitted) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let cases = (vec(change(), 0..6), any::<(bool, bool)>(), any::<(bool, bool)>());
    let outcome = runner.run(&cases, |(changes, (has_workers, on_managers), (large, named))| {
        tried.set(tried.get() + 1);
        let spec = changed(changes);
        let exceptions = [
            large.then_some(PolicyException::LargeReplicas),
            named.then_some(PolicyException::NamedNodes),
        ];
        let exceptions = exceptions.iter().flatten().collect();
        if policy::admit(&spec, exceptions).is_err() {
            return Ok(());
        }
        admitted.set(admitted.get() + 1);
        let given = given(spec, has_workers, on_managers, exceptions);
        let told = given.told();
        let mut found = Vec::new();
        leaves("", &told, &mut found);
        for (path, value) in found {
            prop_assert!(given.allows(&path, value), "{path}: {value}");
        }
        for owned in [&told["Labels"], &told["TaskTemplate"]["ContainerSpec"]["Labels"]] {
            for (label, whose) in given.owner() {
                prop_assert_eq!(&owned[label], &whose, "{}", label);
            }
        }
        let networks = told["TaskTemplate"]["Networks"].as_array().map(Vec::len);
        prop_assert_eq!(networks, Some(1));
        let constraints = &told["TaskTemplate"]["Placement"]["Constraints"];
        let off_managers =
            constraints.as_array().is_some_and(|all| all.iter().any(|c| c == "node.role==worker"));
        prop_assert_eq!(off_managers, has_workers && !on_managers);
        Ok(())
    });
    outcome.unwrap();
    // A check that refuses everything would prove nothing.
    let (tried, admitted) = (tried.get(), admitted.get());
    assert!(admitted * 5 > tried, "only {admitted} of {tried} specs were admitted");
}
