//! The status of an app: its numbers, its tasks, and why it does not do better. Pure.

use std::collections::{BTreeMap, HashMap};
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
use crate::swarm::{LostNode, Service, Task, TaskState};

/// An app whose service is there.
pub(super) fn of_service(
    app: &LiveApp,
    service: &Service,
    (tasks, lost): (&[Task], &BTreeMap<String, LostNode>),
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

/// Why not every replica runs: what a task that waits is waiting for, else the node that went down under the newest task, else what
/// the newest one that ended by itself died of.
fn cause(tasks: &[Task], lost: &BTreeMap<String, LostNode>) -> Option<String> {
    let waiting = tasks
        .iter()
        .filter(|task| task.desired <= TaskState::Running)
        .find_map(|task| task.error.clone());
    let failed = tasks
        .iter()
        .filter(|task| matches!(task.state, TaskState::Failed | TaskState::Rejected))
        .max_by_key(|task| task.created_at)
        .and_then(|task| task.error.clone());
    // Its state is the last that was heard of it. One that had ended before is not the node's fault.
    let went_down = tasks
        .iter()
        .filter(|task| task.state == TaskState::Running)
        .find_map(|task| lost.get(task.node.as_ref()?))
        .map(|node| format!("the node {} that a replica ran on is down", node.name));
    waiting.or(went_down).or(failed)
}
