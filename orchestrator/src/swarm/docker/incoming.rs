//! What the Engine API answers, as our types. Every field may be missing there; what we cannot do
//! without makes the answer an error, and the rest an absence.

use std::collections::BTreeMap;

use bollard::errors::Error as DockerError;
use bollard::models::{
    Health, HealthcheckResult, Network, NetworkInspect, Service as DockerService,
    ServiceSpecUpdateConfigFailureActionEnum, ServiceUpdateStatus, ServiceUpdateStatusStateEnum,
    Task as DockerTask, TaskState as DockerTaskState,
};
use ipnet::Ipv4Net;
use model::evidence::MAX_LOG_LINE;
use model::names;

use super::parts::parts;
use crate::swarm::{
    ImageLookup, ListedNetwork, OverlayNetwork, Service, ServiceCount, SwarmError, SwarmResult,
    Task, TaskState, UpdateState, UpdateStatus,
};

/// Exit code of a process that SIGKILL ended.
const KILLED: i64 = 137;

/// Text of Docker's, a registry's or a tenant's: bounded, and without the NUL that Postgres takes in
/// neither text nor jsonb (a row that cannot be written would be tried for ever).
pub(super) fn text(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(MAX_LOG_LINE).collect()
}

/// Sorts an error by what can be done about it.
pub(super) fn error(error: DockerError) -> SwarmError {
    match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            match (status_code, text(&message)) {
                // Swarm's own words, with status 500: the only sign of a lost race.
                (_, message) if message.contains("update out of sequence") => {
                    SwarmError::OutOfSequence
                }
                (404, message) => SwarmError::NotFound(message),
                (409, message) => SwarmError::NameTaken(message),
                (400, message) => SwarmError::Refused(message),
                (_, message) => SwarmError::Unavailable(message),
            }
        }
        other => SwarmError::Unavailable(text(&other.to_string())),
    }
}

/// What a failed look-up says of the image. The daemon wraps the registry's words in statuses that
/// differ between versions, so the words are read too.
pub(super) fn lookup_error(error: DockerError) -> SwarmResult<ImageLookup> {
    let DockerError::DockerResponseServerError { status_code, message } = error else {
        return Err(self::error(error));
    };
    let text = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    Ok(if says(&["manifest unknown", "not found", "name unknown", "no such manifest"]) {
        ImageLookup::NotFound
    } else if says(&["unauthorized", "denied", "authentication required", "no basic auth"]) {
        // Public registries answer so for repositories that do not exist, too.
        ImageLookup::Forbidden
    } else if status_code == 404 {
        ImageLookup::NotFound
    } else if status_code == 401 || status_code == 403 {
        ImageLookup::Forbidden
    } else {
        ImageLookup::Unavailable(self::text(&message))
    })
}

pub(super) fn service(service: DockerService) -> SwarmResult<Service> {
    let missing = |what: &str| SwarmError::Unavailable(format!("a service came without {what}"));
    let spec = service.spec.ok_or_else(|| missing("a spec"))?;
    let parts = parts(&spec).map_err(|error| {
        SwarmError::Unavailable(format!("a service's spec is no JSON: {error}"))
    })?;
    let on_failure = spec.update_config.as_ref().and_then(|update| update.failure_action);
    let template = spec.task_template.unwrap_or_default();
    let container = template.container_spec.unwrap_or_default();
    let replicas = spec.mode.and_then(|mode| mode.replicated).and_then(|mode| mode.replicas);
    let addresses = service.endpoint.and_then(|endpoint| endpoint.virtual_ips).unwrap_or_default();
    let addresses = addresses.into_iter().filter_map(|found| found.addr?.parse::<Ipv4Net>().ok());
    Ok(Service {
        virtual_address: addresses.map(|found| found.addr()).next(),
        id: service.id.ok_or_else(|| missing("an id"))?,
        version: service
            .version
            .and_then(|version| version.index)
            .ok_or_else(|| missing("a version"))?,
        labels: spec.labels.unwrap_or_default().into_iter().collect(),
        replicas: replicas.and_then(|count| i32::try_from(count).ok()).unwrap_or_default(),
        image: container.image,
        spec_hash: container.labels.and_then(|mut labels| labels.remove(names::LABEL_SPEC)),
        networks: template
            .networks
            .unwrap_or_default()
            .into_iter()
            .filter_map(|network| network.target)
            .collect(),
        restart_counter: counter(template.force_update),
        pauses_on_failure: on_failure == Some(ServiceSpecUpdateConfigFailureActionEnum::PAUSE),
        parts,
        update: service.update_status.and_then(update),
    })
}

fn update(status: ServiceUpdateStatus) -> Option<UpdateStatus> {
    let state = match status.state? {
        ServiceUpdateStatusStateEnum::EMPTY => return None,
        ServiceUpdateStatusStateEnum::UPDATING => UpdateState::Updating,
        ServiceUpdateStatusStateEnum::PAUSED => UpdateState::Paused,
        ServiceUpdateStatusStateEnum::COMPLETED => UpdateState::Completed,
        ServiceUpdateStatusStateEnum::ROLLBACK_STARTED => UpdateState::RollbackStarted,
        ServiceUpdateStatusStateEnum::ROLLBACK_PAUSED => UpdateState::RollbackPaused,
        ServiceUpdateStatusStateEnum::ROLLBACK_COMPLETED => UpdateState::RollbackCompleted,
    };
    let message = text(&status.message.unwrap_or_default());
    Some(UpdateStatus { state, message, started_at: status.started_at })
}

pub(super) fn count(service: DockerService) -> Option<ServiceCount> {
    let status = service.service_status.clone()?;
    let name = service.spec.as_ref()?.name.clone()?;
    let tasks = |count: Option<u64>| count.and_then(|count| i32::try_from(count).ok());
    Some(ServiceCount {
        name,
        service: self::service(service).ok()?,
        desired: tasks(status.desired_tasks).unwrap_or_default(),
        running: tasks(status.running_tasks).unwrap_or_default(),
    })
}

pub(super) fn task(task: DockerTask) -> SwarmResult<Task> {
    let missing = |what: &str| SwarmError::Unavailable(format!("a task came without {what}"));
    let status = task.status.unwrap_or_default();
    let spec = task.spec.unwrap_or_default();
    let container = status.container_status;
    let now = state(status.state);
    Ok(Task {
        id: task.id.ok_or_else(|| missing("an id"))?,
        slot: task.slot.unwrap_or_default(),
        node: task.node_id.filter(|node| !node.is_empty()),
        state: now,
        desired: state(task.desired_state),
        created_at: task.created_at,
        // The moment of the last change of its state.
        ended_at: status.timestamp.filter(|_| now.is_over()),
        error: status.err.filter(|error| !error.is_empty()).map(|error| text(&error)),
        // Docker says 0 of a process that has not ended, too.
        exit_code: container
            .as_ref()
            .and_then(|container| container.exit_code)
            .filter(|_| now.is_over()),
        container: container
            .and_then(|container| container.container_id)
            .filter(|id| !id.is_empty()),
        spec_hash: spec
            .container_spec
            .and_then(|container| container.labels)
            .and_then(|mut labels| labels.remove(names::LABEL_SPEC)),
        restart_counter: counter(spec.force_update),
    })
}

/// Whether a task has ended.
pub(super) fn is_over(task: &DockerTask) -> bool {
    state(task.status.as_ref().and_then(|status| status.state)).is_over()
}

fn state(state: Option<DockerTaskState>) -> TaskState {
    match state {
        None | Some(DockerTaskState::NEW | DockerTaskState::ALLOCATED) => TaskState::New,
        Some(DockerTaskState::PENDING) => TaskState::Pending,
        Some(DockerTaskState::ASSIGNED) => TaskState::Assigned,
        Some(DockerTaskState::ACCEPTED) => TaskState::Accepted,
        Some(DockerTaskState::PREPARING) => TaskState::Preparing,
        Some(DockerTaskState::READY) => TaskState::Ready,
        Some(DockerTaskState::STARTING) => TaskState::Starting,
        Some(DockerTaskState::RUNNING) => TaskState::Running,
        Some(DockerTaskState::COMPLETE) => TaskState::Complete,
        Some(DockerTaskState::SHUTDOWN) => TaskState::Shutdown,
        Some(DockerTaskState::FAILED) => TaskState::Failed,
        Some(DockerTaskState::REJECTED) => TaskState::Rejected,
        Some(DockerTaskState::REMOVE) => TaskState::Removed,
        Some(DockerTaskState::ORPHANED) => TaskState::Orphaned,
    }
}

fn counter(force_update: Option<u64>) -> i64 {
    force_update.and_then(|count| i64::try_from(count).ok()).unwrap_or_default()
}

/// Failures in a row that make a container unhealthy where its health check does not say (moby: `defaultProbeRetries`).
const DEFAULT_RETRIES: i64 = 3;

/// What the probe said that failed last, of those that made a container unhealthy which may fail so many `retries`
/// in a row (Docker's default where there are none).
pub(super) fn last_failure(health: Health, retries: Option<i64>) -> Option<String> {
    let mut probes = health.log?;
    // Those that run after that find an app that was asked to stop, and may be gone.
    let retries = retries.filter(|retries| *retries > 0).unwrap_or(DEFAULT_RETRIES);
    let later = health.failing_streak.unwrap_or_default().saturating_sub(retries);
    let decided = probes.len().saturating_sub(usize::try_from(later).unwrap_or_default());
    if decided > 0 {
        probes.truncate(decided);
    }
    // So does the one that runs while its container stops for another reason: it is cut off.
    let cut_off = |probe: &HealthcheckResult| {
        let output = probe.output.as_deref().unwrap_or_default();
        match probe.exit_code {
            Some(-1) => output.contains("exec failed"),
            Some(KILLED) => output.trim().is_empty(),
            _ => false,
        }
    };
    if probes.last().is_some_and(cut_off) {
        probes.pop();
    }
    let failed = probes.into_iter().rfind(|probe| probe.exit_code.is_some_and(|code| code != 0))?;
    let said = text(failed.output.unwrap_or_default().trim());
    Some(match failed.exit_code {
        Some(code) if said.is_empty() => format!("exit code {code}"),
        _ => said,
    })
}

pub(super) fn listed_network(network: Network) -> Option<ListedNetwork> {
    let labels = network.labels.unwrap_or_default().into_iter().collect();
    Some(ListedNetwork { name: network.name?, labels })
}

pub(super) fn network(network: NetworkInspect) -> OverlayNetwork {
    let subnets = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let options = network.options.unwrap_or_default();
    let labels: BTreeMap<_, _> = network.labels.unwrap_or_default().into_iter().collect();
    OverlayNetwork {
        id: network.id.unwrap_or_default(),
        subnets: subnets.into_iter().filter_map(|config| config.subnet).collect(),
        encrypted: options.contains_key("encrypted"),
        internal: network.internal.unwrap_or_default(),
        labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_failure(probes: Vec<HealthcheckResult>) -> Option<String> {
        super::last_failure(Health { log: Some(probes), ..Health::default() }, Some(3))
    }

    #[test]
    fn a_probe_after_the_decision_tells_nothing() {
        let said = |streak: i64, retries: Option<i64>| {
            let log = [(0, "http 200"), (1, "http 500"), (1, "http 503"), (1, "reset")];
            let log = log.map(|(code, output)| probe(code, output)).to_vec();
            let health = Health { failing_streak: Some(streak), log: Some(log), status: None };
            super::last_failure(health, retries)
        };
        assert_eq!(said(3, Some(2)).as_deref(), Some("http 503"));
        assert_eq!(said(3, Some(1)).as_deref(), Some("http 500"));
        for retries in [None, Some(0), Some(3), Some(5)] {
            assert_eq!(said(3, retries).as_deref(), Some("reset"), "{retries:?}");
        }
        assert_eq!(said(4, None).as_deref(), Some("http 503"));
        // Docker keeps five: what decided is not among them any more.
        assert_eq!(said(9, Some(2)).as_deref(), Some("reset"));
    }

    fn probe(exit_code: i64, output: &str) -> HealthcheckResult {
        HealthcheckResult {
            exit_code: Some(exit_code),
            output: Some(output.to_owned()),
            ..HealthcheckResult::default()
        }
    }

    #[test]
    fn a_probe_that_was_cut_off_tells_nothing() {
        let well = probe(0, "http 200\n");
        let failed = probe(1, "http 500\n");
        let cut_off = [probe(137, ""), probe(-1, "OCI runtime exec failed: exec failed: stopped")];
        for cut_off in cut_off {
            let last = last_failure(vec![well.clone(), cut_off.clone()]);
            assert_eq!(last, None, "{cut_off:?}");
            let last = last_failure(vec![failed.clone(), cut_off.clone()]);
            assert_eq!(last.as_deref(), Some("http 500"), "{cut_off:?}");
        }
        let slow = probe(-1, "Health check exceeded timeout (2s)");
        assert!(last_failure(vec![slow]).is_some());
        assert_eq!(last_failure(vec![probe(2, "")]).as_deref(), Some("exit code 2"));
    }
}
