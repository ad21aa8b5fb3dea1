//! Evidence: what was seen of a deployment that goes wrong, for its record. It asks Swarm nothing:
//! what it tells of was looked at before.

use model::evidence::{Evidence, MAX_TASKS, TaskRecord};

use super::observation::Observation;
use crate::swarm::{Autopsy, Task, TaskState};

/// What one look showed, where no task is to blame.
pub(super) fn of_look(seen: &Observation<'_>) -> Evidence {
    of_culprit(seen, None, Autopsy::default())
}

/// What a look showed, with what the task that is to blame left behind.
pub(super) fn of_culprit(
    seen: &Observation<'_>,
    culprit: Option<&Task>,
    autopsy: Autopsy,
) -> Evidence {
    Evidence {
        stage: seen.deployment.status.to_string(),
        tasks: records(seen, culprit, &autopsy),
        log: autopsy.log,
        update_status: seen.service.as_ref().and_then(|service| {
            let update = service.update.as_ref()?;
            Some(format!("{}: {}", update.state.as_str(), update.message))
        }),
        update_statuses: seen.memory.update_statuses.clone(),
    }
}

/// The tasks as they were seen: those that failed first, then those that should run.
fn records(seen: &Observation<'_>, culprit: Option<&Task>, autopsy: &Autopsy) -> Vec<TaskRecord> {
    let failed = seen.failed_tasks();
    let others = seen.tasks.iter().filter(|task| {
        task.desired <= TaskState::Running && failed.iter().all(|other| other.id != task.id)
    });
    failed
        .iter()
        .copied()
        .chain(others)
        .take(MAX_TASKS)
        .map(|task| match culprit {
            Some(culprit) if culprit.id == task.id => TaskRecord {
                health: autopsy.health.clone(),
                out_of_memory: autopsy.out_of_memory,
                ..record(task)
            },
            _ => record(task),
        })
        .collect()
}

/// A task for the record.
pub(crate) fn record(task: &Task) -> TaskRecord {
    TaskRecord {
        id: task.id.clone(),
        slot: task.slot,
        node: task.node.clone(),
        address: None,
        state: task.state.as_str().into(),
        desired_state: task.desired.as_str().into(),
        error: task.error.clone(),
        exit_code: task.exit_code,
        ended_at: task.ended_at,
        out_of_memory: false,
        health: None,
    }
}
