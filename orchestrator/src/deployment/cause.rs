//! Causes: what is behind a failure, in a sentence that can be acted on, with the evidence for it.
//! Taken at once, while Swarm still has the tasks and their logs.

mod scheduling;

use model::evidence::Evidence;
use model::health_check::HealthTest;
use model::network::Network;
use model::platform::Platform;
use model::reason::{Reason, ReasonCode};
use model::release::Release;

use super::evidence;
use super::observation::{Observation, Stage};
use super::plan::Blame;
use crate::swarm::{Autopsy, Node, Swarm, Task, TaskState};

use scheduling::unscheduled;

/// Exit code of a process that SIGKILL ended: what the kernel sends when memory runs out.
const KILLED: i64 = 137;

/// What a cause is told of.
pub(super) struct Subject<'a> {
    pub(super) platform: &'a Platform,
    /// The network of the app's environment.
    pub(super) network: &'a Network,
    /// The release that failed.
    pub(super) release: &'a Release,
}

/// What Swarm was asked for it.
struct Found<'a> {
    culprit: Option<&'a Task>,
    autopsy: &'a Autopsy,
    nodes: Option<&'a [Node]>,
    /// Whether Swarm may have waited for a task that never got a node.
    unplaced: bool,
}

/// Finds out why, and keeps what was seen.
pub(super) async fn find_cause(
    swarm: &impl Swarm,
    subject: &Subject<'_>,
    seen: &Observation<'_>,
    blame: &Blame,
) -> (Reason, Evidence) {
    let culprit = culprit(seen, blame);
    let autopsy = match culprit {
        Some(task) => swarm.autopsy(task).await,
        None => Autopsy::default(),
    };
    let nodes = match (blame, culprit) {
        (Blame::Overdue(_, Stage::Schedule), Some(task)) => nodes(swarm, task).await,
        _ => None,
    };
    let (nodes, unplaced) = (nodes.as_deref(), seen.has_unplaced());
    let found = Found { culprit, autopsy: &autopsy, nodes, unplaced };
    let reason = reason(subject, blame, &found);
    (reason, evidence::of_culprit(seen, culprit, autopsy))
}

/// The nodes, where Swarm says that none suits.
async fn nodes(swarm: &impl Swarm, task: &Task) -> Option<Vec<Node>> {
    task.error.as_ref()?;
    match swarm.nodes().await {
        Ok(nodes) => Some(nodes),
        Err(error) => {
            tracing::warn!(%error, task = task.id, "the nodes are not known; Swarm's words have to do");
            None
        }
    }
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

fn reason(subject: &Subject<'_>, blame: &Blame, found: &Found<'_>) -> Reason {
    let release = subject.release;
    let (number, autopsy) = (release.number, found.autopsy);
    match (blame, found.culprit) {
        (Blame::Overdue(_, stage), Some(task)) => overdue(subject, *stage, task, found),
        (Blame::NoProgress, Some(task)) => {
            let ended = ended(release, task, autopsy);
            let seconds = release.spec.0.progress_seconds(found.unplaced);
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
                release.spec.0.progress_seconds(found.unplaced)
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
fn overdue(subject: &Subject<'_>, stage: Stage, task: &Task, found: &Found<'_>) -> Reason {
    let release = subject.release;
    let (number, slot) = (release.number, task.slot);
    let spec = &release.spec.0;
    let deadlines = spec.deadlines;
    match stage {
        Stage::Schedule => unscheduled(subject, task, found.nodes),
        Stage::Pull => Reason::new(
            ReasonCode::PullDeadline,
            format!(
                "the image {} was not on replica {slot}'s node within {} s",
                spec.image, deadlines.pull_seconds
            ),
        ),
        Stage::Healthy => Reason::new(
            ReasonCode::HealthyDeadline,
            format!(
                "replica {slot} of v{number} started and was not healthy within {} s{}",
                deadlines.healthy_seconds,
                match &found.autopsy.health {
                    Some(health) => format!("; its health check last said `{health}`"),
                    None => String::new(),
                }
            ),
        ),
    }
}

fn shortened(line: &str) -> String {
    const LONGEST: usize = 300;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
