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

/// Why not every replica runs: what a task that waits is waiting for, and whose place it takes where that one's node went down under it;
/// else what became of the newest one whose place is empty: it ended by itself, or its node went down (its state is the last that was
/// heard of it). What a later task made good is no cause any more.
fn cause(tasks: &[Task], lost: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let is_wanted = |task: &&Task| task.desired <= TaskState::Running;
    let newest_gone = |slot: i64| {
        tasks
            .iter()
            .filter(|task| task.slot == slot && !is_wanted(task))
            .max_by_key(|task| task.created_at)
    };
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
        .filter(is_wanted)
        .find_map(|task| Some((newest_gone(task.slot), task.error.as_ref()?)));
    if let Some((before, error)) = waiting {
        return Some(match before.and_then(lost_node) {
            Some(before) => format!("{before}, and its successor waits: {error}"),
            None => error.clone(),
        });
    }
    let runs = |slot: i64| {
        tasks.iter().filter(is_wanted).any(|task| {
            let is_lost = task.node.as_ref().is_some_and(|node| lost.contains_key(node));
            task.slot == slot && task.state == TaskState::Running && !is_lost
        })
    };
    let slots: BTreeSet<i64> = tasks.iter().map(|task| task.slot).collect();
    let gone = slots.into_iter().filter(|slot| !runs(*slot)).filter_map(|slot| {
        // A node that is lost, and whose task Swarm has not given up yet.
        let mut wanted = tasks.iter().filter(|task| task.slot == slot).filter(is_wanted);
        let task = wanted.find(|task| lost_node(task).is_some()).or(newest_gone(slot))?;
        Some((task.created_at, lost_node(task).or_else(|| failed(task))?))
    });
    gone.max_by_key(|(created_at, _)| *created_at).map(|(_, cause)| cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: &str = "lost";
    const UP: &str = "up";

    /// A task of slot 1, made so many seconds after the first.
    fn task(seconds: i64, node: Option<&str>, state: TaskState, desired: TaskState) -> Task {
        Task {
            id: format!("task-{seconds}"),
            slot: 1,
            node: node.map(str::to_owned),
            state,
            desired,
            created_at: DateTime::from_timestamp(seconds, 0),
            ended_at: None,
            error: None,
            exit_code: None,
            container: None,
            spec_hash: None,
            restart_counter: 0,
        }
    }

    fn of(tasks: &[Task]) -> Option<String> {
        cause(tasks, &BTreeMap::from([(LOST.to_owned(), BTreeSet::new())]))
    }

    #[test]
    fn the_node_of_the_one_before_is_named_and_no_older_one() {
        use TaskState::{Failed, Pending, Running, Shutdown, Starting};

        let waits = |seconds| Task {
            error: Some("no suitable node".to_owned()),
            ..task(seconds, None, Pending, Running)
        };
        let given_up = task(0, Some(LOST), Running, Shutdown);
        let down = "the node lost that a replica ran on is down";
        assert_eq!(of(std::slice::from_ref(&given_up)).as_deref(), Some(down));
        assert_eq!(of(&[task(0, Some(LOST), Running, Running)]).as_deref(), Some(down));
        let told = of(&[given_up.clone(), waits(9)]);
        assert_eq!(told, Some(format!("{down}, and its successor waits: no suitable node")));
        // It was made good on another node since, whose task was replaced, or failed, in its turn.
        let replaced = task(5, Some(UP), Shutdown, Shutdown);
        let told = of(&[given_up.clone(), replaced.clone(), waits(9)]);
        assert_eq!(told.as_deref(), Some("no suitable node"));
        let starts = task(9, Some(UP), Starting, Running);
        assert_eq!(of(&[given_up.clone(), replaced, starts.clone()]), None);
        let failed =
            Task { error: Some("exit 1".to_owned()), ..task(5, Some(UP), Failed, Shutdown) };
        assert_eq!(of(&[given_up.clone(), failed, starts]).as_deref(), Some("exit 1"));
        // The place is filled: another slot is what lacks.
        assert_eq!(of(&[given_up, task(5, Some(UP), Running, Running)]), None);
    }
}
