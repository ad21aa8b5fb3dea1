//! Causes: what is behind a failure, in a sentence that can be acted on, with the evidence for it.
//! Taken at once, while Swarm still has the tasks and their logs.

use model::evidence::{Evidence, MAX_TASKS, TaskRecord};
use model::health_check::HealthTest;
use model::reason::{Reason, ReasonCode};
use model::release::Release;

use super::observation::{Observation, Stage};
use super::plan::Blame;
use crate::swarm::{Autopsy, Swarm, Task, TaskState};

/// Exit code of a process that SIGKILL ended: what the kernel sends when memory runs out.
const KILLED: i64 = 137;

/// Finds out why, and keeps what was seen.
pub(super) async fn find_cause(
    swarm: &impl Swarm,
    release: &Release,
    seen: &Observation<'_>,
    blame: &Blame,
) -> (Reason, Evidence) {
    let culprit = culprit(seen, blame);
    let autopsy = match culprit {
        Some(task) => swarm.autopsy(task).await,
        None => Autopsy::default(),
    };
    let reason = reason(release, blame, culprit, &autopsy);
    let evidence = Evidence {
        stage: seen.deployment.status.to_string(),
        tasks: records(seen, culprit, &autopsy),
        log: autopsy.log,
        update_status: seen.service.as_ref().and_then(|service| {
            let (state, message) = service.update.as_ref()?;
            Some(format!("{}: {message}", state.as_str()))
        }),
    };
    (reason, evidence)
}

/// The task whose logs and container are looked at. Of the tasks that failed, one whose container
/// ran tells more than one that Swarm rejected later.
fn culprit<'s>(seen: &'s Observation<'_>, blame: &Blame) -> Option<&'s Task> {
    let by_id = |id: &str| seen.tasks.iter().find(|task| task.id == id);
    match blame {
        Blame::Task(id) | Blame::Overdue(id, _) => by_id(id),
        Blame::NoProgress | Blame::Paused(_) | Blame::TakenBack(_) => {
            seen.failed_tasks().first().copied()
        }
    }
}

fn reason(release: &Release, blame: &Blame, culprit: Option<&Task>, autopsy: &Autopsy) -> Reason {
    let number = release.number;
    match (blame, culprit) {
        (Blame::Overdue(_, stage), Some(task)) => overdue(release, *stage, task, autopsy),
        (Blame::NoProgress, Some(task)) => {
            let ended = ended(release, task, autopsy);
            let seconds = release.spec.0.deadlines.progress_seconds;
            Reason::new(
                ReasonCode::ProgressDeadline,
                format!(
                    "no replica of v{number} became healthy for {seconds} s; {}",
                    ended.sentence
                ),
            )
        }
        (Blame::Task(_) | Blame::Paused(_) | Blame::TakenBack(_), Some(task)) => {
            ended(release, task, autopsy)
        }
        (Blame::Paused(message), None) => Reason::new(
            ReasonCode::UpdatePaused,
            format!("Swarm stopped the update to v{number} ({message}) and no failed task is left"),
        ),
        (Blame::TakenBack(message), None) => Reason::new(
            ReasonCode::ChangedOutside,
            format!(
                "the service was taken back from v{number} though no task of it failed ({message}): \
                 somebody else changed it"
            ),
        ),
        (Blame::Task(_) | Blame::Overdue(..) | Blame::NoProgress, None) => Reason::new(
            ReasonCode::ProgressDeadline,
            format!(
                "no replica of v{number} became healthy for {} s",
                release.spec.0.deadlines.progress_seconds
            ),
        ),
    }
}

/// Why a task ended by itself.
pub(crate) fn ended(release: &Release, task: &Task, autopsy: &Autopsy) -> Reason {
    let (number, slot) = (release.number, task.slot);
    let spec = &release.spec.0;
    let error = task.error.as_deref().unwrap_or_default();
    let exit = task.exit_code.unwrap_or_default();
    if task.state == TaskState::Rejected {
        return if error.contains("No such image") || error.contains("pull access denied") {
            Reason::new(
                ReasonCode::ImageNotFound,
                format!("a node has no image {} and could not pull it: {error}", spec.image),
            )
        } else {
            Reason::new(
                ReasonCode::Rejected,
                format!("a node would not start replica {slot} of v{number}: {error}"),
            )
        };
    }
    if autopsy.out_of_memory {
        return Reason::new(
            ReasonCode::OutOfMemory,
            format!(
                "replica {slot} of v{number} was killed for using more than its {} MB of memory",
                spec.memory_mb
            ),
        );
    }
    // An app that handles SIGTERM well ends `complete` with 0 when its health check has failed it:
    // only the check's own output tells. With any other code Swarm says so itself; an app that
    // crashes before it ever answered has failed probes, too.
    if let Some(check) = &spec.health_check
        && (error.contains("unhealthy") || (exit == 0 && autopsy.health.is_some()))
    {
        let asked = match &check.test {
            HealthTest::Http { port, path } => format!("GET {path} on port {port}"),
            HealthTest::Tcp { port } => format!("a connection to port {port}"),
            HealthTest::Command { command } => format!("the command {}", command.join(" ")),
        };
        let said = autopsy.health.as_deref().unwrap_or("no answer that was kept");
        return Reason::new(
            ReasonCode::Unhealthy,
            format!(
                "replica {slot} of v{number} did not become healthy: {asked} failed {} times in a \
                 row, the last time with `{said}`",
                check.retries
            ),
        );
    }
    let last_line = match autopsy.log.iter().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("its last line was: {}", shortened(line.trim())),
        None => "it wrote no log".into(),
    };
    let how = match exit {
        0 => "ended by itself (exit code 0; a replica has to keep running)".into(),
        KILLED => "was killed (SIGKILL)".into(),
        code => format!("exited with code {code}"),
    };
    let error = match (exit, error) {
        (0, error) if !error.is_empty() => format!(" ({error})"),
        _ => String::new(),
    };
    Reason::new(
        ReasonCode::Exited,
        format!("replica {slot} of v{number} {how}{error}; {last_line}"),
    )
}

/// A task that was too long on its way.
fn overdue(release: &Release, stage: Stage, task: &Task, autopsy: &Autopsy) -> Reason {
    let (number, slot) = (release.number, task.slot);
    let spec = &release.spec.0;
    let deadlines = spec.deadlines;
    match (stage, &task.error) {
        (Stage::Schedule, Some(error)) => Reason::new(
            ReasonCode::Unschedulable,
            format!(
                "no node took replica {slot} of v{number} within {} s: {error}; it asks for {} CPU \
                 and {} MB (a share of them is reserved){}",
                deadlines.schedule_seconds,
                f64::from(spec.cpu_millis) / 1000.0,
                spec.memory_mb,
                match spec.constraints.as_slice() {
                    [] => String::new(),
                    constraints => format!(", and for {}", constraints.join(" and ")),
                }
            ),
        ),
        (Stage::Schedule, None) => Reason::new(
            ReasonCode::ScheduleDeadline,
            format!(
                "replica {slot} of v{number} was not scheduled within {} s: its network may have no \
                 address left",
                deadlines.schedule_seconds
            ),
        ),
        (Stage::Pull, _) => Reason::new(
            ReasonCode::PullDeadline,
            format!(
                "the image {} was not on replica {slot}'s node within {} s",
                spec.image, deadlines.pull_seconds
            ),
        ),
        (Stage::Healthy, _) => Reason::new(
            ReasonCode::HealthyDeadline,
            format!(
                "replica {slot} of v{number} started and was not healthy within {} s{}",
                deadlines.healthy_seconds,
                match &autopsy.health {
                    Some(health) => format!("; its health check last said `{health}`"),
                    None => String::new(),
                }
            ),
        ),
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
        .map(|task| TaskRecord {
            health: culprit
                .filter(|culprit| culprit.id == task.id)
                .and_then(|_| autopsy.health.clone()),
            ..record(task)
        })
        .collect()
}

/// A task for the record.
pub(crate) fn record(task: &Task) -> TaskRecord {
    TaskRecord {
        id: task.id.clone(),
        slot: task.slot,
        node: task.node.clone(),
        state: task.state.as_str().into(),
        desired_state: task.desired.as_str().into(),
        error: task.error.clone(),
        exit_code: task.exit_code,
        health: None,
    }
}

fn shortened(line: &str) -> String {
    const LONGEST: usize = 300;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
