//! Why no node took a task: which constraint matches none, or how much is asked for and how much is
//! free. Pure: the nodes were asked for before, and may be unknown.

use model::reason::{Reason, ReasonCode};
use model::spec::AppSpec;

use super::Subject;
use crate::render::reservation;
use crate::swarm::{Node, Resources, Task, TaskState};

/// The reason of a task that waited for a node, or for an address, for longer than it may.
pub(super) fn unscheduled(subject: &Subject<'_>, task: &Task, nodes: Option<&[Node]>) -> Reason {
    let (number, slot) = (subject.release.number, task.slot);
    let spec = &subject.release.spec.0;
    let replica = format!("replica {slot} of v{number}");
    let seconds = spec.deadlines.schedule_seconds;
    let Some(error) = &task.error else {
        let sentence = match task.state {
            TaskState::New => format!(
                "{replica} got no address within {seconds} s: the network {} has no address left \
                 in {}",
                subject.network.name, subject.network.subnet
            ),
            _ => format!("{replica} was given no node within {seconds} s, and Swarm says no more"),
        };
        return Reason::new(ReasonCode::ScheduleDeadline, sentence);
    };
    let why = nodes
        .and_then(|nodes| lacking(subject, nodes))
        .unwrap_or_else(|| format!("it asks for {}", asked(spec, subject.reserved())));
    Reason::new(
        ReasonCode::Unschedulable,
        format!("no node took {replica} within {seconds} s: {why} (Swarm: {error})"),
    )
}

/// What it is that no node has.
fn lacking(subject: &Subject<'_>, nodes: &[Node]) -> Option<String> {
    let spec = &subject.release.spec.0;
    let has_workers = nodes.iter().any(|node| !node.is_manager);
    let workers_only = has_workers && !subject.platform.tenants_on_managers;
    let open: Vec<&Node> = nodes
        .iter()
        .filter(|node| node.is_available && !(workers_only && node.is_manager))
        .collect();
    if open.is_empty() {
        return Some(match workers_only {
            true => "no worker node is up and takes new tasks".into(),
            false => "no node is up and takes new tasks".into(),
        });
    }
    let matching: Vec<&Node> = open
        .iter()
        .copied()
        .filter(|node| spec.constraints.iter().all(|constraint| node.satisfies(constraint)))
        .collect();
    if matching.is_empty() {
        let alone: Vec<&str> = spec
            .constraints
            .iter()
            .filter(|constraint| !open.iter().any(|node| node.satisfies(constraint)))
            .map(String::as_str)
            .collect();
        return Some(match alone.as_slice() {
            [] => format!("no node matches all of {}", spec.constraints.join(", ")),
            [one] => format!("the constraint {one} matches no node"),
            several => format!("the constraints {} match no node", several.join(" and ")),
        });
    }
    let wanted = subject.reserved();
    let free: Vec<Resources> = matching.iter().map(|node| node.free()).collect();
    let most = Resources {
        cpu_nanos: free.iter().map(|free| free.cpu_nanos).max()?.max(0),
        memory_bytes: free.iter().map(|free| free.memory_bytes).max()?.max(0),
    };
    let fits = free.iter().any(|free| free.hold(wanted));
    let (cpu, memory) = (cores(wanted.cpu_nanos), megabytes(wanted.memory_bytes));
    let lack = match (most.cpu_nanos < wanted.cpu_nanos, most.memory_bytes < wanted.memory_bytes) {
        // By now one has room: Swarm's own words tell what was missing.
        (false, false) if fits => return None,
        (false, false) => format!("{cpu} CPU and {memory} MB free at once"),
        (true, false) => format!("{cpu} CPU free"),
        (false, true) => format!("{memory} MB free"),
        (true, true) => format!("{cpu} CPU and {memory} MB free"),
    };
    let of = if matching.len() < nodes.len() { " that it may run on" } else { "" };
    Some(format!(
        "no node{of} has {lack}; it asks for {}, and the most that one node has free is {} CPU and \
         {} MB",
        asked(spec, wanted),
        cores(most.cpu_nanos),
        megabytes(most.memory_bytes)
    ))
}

/// What is asked for, and what of it counts.
fn asked(spec: &AppSpec, reserved: Resources) -> String {
    format!(
        "{} CPU ({} reserved) and {} MB ({} reserved)",
        f64::from(spec.cpu_millis) / 1000.0,
        cores(reserved.cpu_nanos),
        spec.memory_mb,
        megabytes(reserved.memory_bytes)
    )
}

/// In cores, to the thousandth; the rest is cut off, so that nothing looks free that is not.
fn cores(nanos: i64) -> f64 {
    (nanos / 1_000_000) as f64 / 1000.0
}

const fn megabytes(bytes: i64) -> i64 {
    bytes >> 20
}

impl Subject<'_> {
    /// What a task of it reserves: all that the scheduler looks at.
    fn reserved(&self) -> Resources {
        reservation(self.platform, &self.release.spec.0)
    }
}

#[cfg(test)]
mod tests;
