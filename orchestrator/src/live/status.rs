//! The status of an app: its numbers, its tasks, and why it does not do better. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use chrono::{DateTime, Utc};
use db::live::LiveApp;
use ipnet::IpNet;
use model::app_status::{AppStatus, Health};
use model::evidence::{MAX_TASKS, TaskRecord};
use model::id::HealthId;
use model::names;
use model::stored::Stored;

use crate::deployment::record;
use crate::swarm::{Service, Task, TaskState};

/// An app whose service is there.
pub(super) fn of_service(
    app: &LiveApp,
    service: &Service,
    (tasks, lost): (&[Task], &BTreeMap<String, BTreeSet<String>>),
    addresses: &HashMap<String, Ipv4Addr>,
    crash_loop: Option<String>,
    now: DateTime<Utc>,
) -> AppStatus {
    let desired = match app.replicas {
        Some(replicas) if !app.unfinished || crash_loop.is_some() => replicas,
        _ => service.replicas,
    };
    // Docker's own count takes in tasks that are meant to end and still drain.
    let mut wanted: Vec<&Task> =
        tasks.iter().filter(|task| task.desired <= TaskState::Running).collect();
    wanted.sort_by_key(|task| (task.slot, task.created_at));
    // Nobody knows of a task on a node that is lost; Swarm goes on saying what was heard last.
    let is_lost = |task: &Task| task.node.as_ref().is_some_and(|node| lost.contains_key(node));
    let runs = |task: &&&Task| task.state == TaskState::Running && !is_lost(task);
    let running = wanted.iter().filter(runs).count();
    let running = i32::try_from(running).unwrap_or(i32::MAX).min(desired);
    let is_crash_loop = crash_loop.is_some();
    let told =
        |task: &Task| TaskRecord { address: addresses.get(&task.id).copied(), ..record(task) };
    AppStatus {
        virtual_address: service.virtual_address.map(|address| IpNet::from(IpAddr::from(address))),
        app_id: app.id,
        organization_id: app.organization_id,
        health: if is_crash_loop { Health::CrashLooping } else { Health::of(desired, running) },
        cause: crash_loop.or_else(|| cause(tasks, lost).filter(|_| running < desired)),
        release_id: service.label(names::LABEL_RELEASE).and_then(|label| label.parse().ok()),
        desired,
        running,
        tasks: Stored(wanted.into_iter().take(MAX_TASKS).map(told).collect()),
        since: now,
        observed_at: now,
        health_id: HealthId::new(),
    }
}

/// An app whose service is gone.
pub(super) fn of_nothing(app: &LiveApp, now: DateTime<Utc>) -> AppStatus {
    let desired = app.replicas.unwrap_or_default();
    AppStatus {
        app_id: app.id,
        organization_id: app.organization_id,
        health: Health::of(desired, 0),
        cause: Some("its service is gone from the swarm".into()),
        release_id: None,
        desired,
        running: 0,
        tasks: Stored(Vec::new()),
        since: now,
        observed_at: now,
        health_id: HealthId::new(),
        virtual_address: None,
    }
}

/// Why not every replica runs: what a task that waits is waiting for, and whose place it is to take where that one's node went down under
/// it; else what became of the newest one that does not run any more: it ended by itself, or its node went down (its state is the last
/// that was heard of it).
fn cause(tasks: &[Task], lost: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let lost_node = |task: &Task| {
        let node = task.node.as_ref().filter(|node| lost.contains_key(*node))?;
        (task.state == TaskState::Running)
            .then(|| format!("the node {node} that a replica ran on is down"))
    };
    let failed = |task: &Task| {
        matches!(task.state, TaskState::Failed | TaskState::Rejected).then(|| task.error.clone())?
    };
    let waiting = tasks
        .iter()
        .filter(|task| task.desired <= TaskState::Running)
        .find_map(|task| Some((task.slot, task.error.as_ref()?)));
    if let Some((slot, error)) = waiting {
        let before = tasks.iter().filter(|task| task.slot == slot).find_map(lost_node);
        return Some(match before {
            Some(before) => format!("{before}, and its successor waits: {error}"),
            None => error.clone(),
        });
    }
    let gone = tasks
        .iter()
        .filter_map(|task| Some((task.created_at, lost_node(task).or_else(|| failed(task))?)));
    gone.max_by_key(|(created_at, _)| *created_at).map(|(_, cause)| cause)
}
