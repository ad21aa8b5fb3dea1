//! The pace of an app whose tasks keep ending: when it is slowed down, tried again, and believed.
//! Pure: what is seen in, what to do out.
//!
//! Swarm starts a task again after a fixed delay, for ever. An app is slowed down by keeping up only
//! those of its replicas that run: its spec stays the same, so none of them is touched.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use model::crash_loop::CrashLoop;

use crate::swarm::{Service, Task, TaskState};

/// Tasks of one slot that end by themselves within [`RECENTLY`] before the app is slowed down.
const CRASHES: usize = 3;
/// How long an end is held against an app, and how long rounds are counted on.
const RECENTLY: TimeDelta = TimeDelta::minutes(10);

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pace<'t> {
    /// Nothing: it runs as it should.
    Steady,
    /// It keeps crashing, but what crashes runs at this moment, and cannot be told from the rest.
    Crashing { culprit: &'t Task },
    /// Keep up this many replicas for the pause of this round. The task tells why.
    Slow { kept: i32, round: i16, culprit: &'t Task },
    /// Keep it slowed down.
    Hold,
    /// Try all of its replicas.
    Resume,
    /// They are being tried.
    Trial,
    /// All of them have run through the window.
    Recovered,
    /// That was long ago.
    Forget,
}

/// What an app's pace is decided upon.
pub(super) struct Seen<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) service: &'a Service,
    pub(super) tasks: &'a [Task],
    /// Replicas that should run.
    pub(super) desired: i32,
    /// How long they have to, to be believed.
    pub(super) window: TimeDelta,
}

/// What to do about the app.
pub(super) fn pace<'a>(seen: &Seen<'a>, before: Option<&CrashLoop>) -> Pace<'a> {
    // None is to run: what ended before that is over.
    if seen.desired == 0 {
        return if before.is_some() { Pace::Forget } else { Pace::Steady };
    }
    let Some(before) = before else {
        return match crashing(seen, CRASHES, seen.now - RECENTLY) {
            Some(crashing) => slow(seen, crashing, seen.desired, 1),
            None => Pace::Steady,
        };
    };
    let next_round = before.rounds.saturating_add(1);
    if seen.now < before.resumes_at {
        return match kept_crashing(seen, before) {
            Some(crashing) => slow(seen, crashing, before.kept, next_round),
            None => Pace::Hold,
        };
    }
    if seen.service.replicas == before.kept && before.kept < seen.desired {
        return Pace::Resume;
    }
    // It was told before: one more end is enough.
    if let Some(crashing) = crashing(seen, 1, before.recovered_at.unwrap_or(before.resumes_at)) {
        return slow(seen, crashing, seen.desired, next_round);
    }
    match before.recovered_at {
        Some(recovered) if seen.now - recovered > RECENTLY => Pace::Forget,
        Some(_) => Pace::Steady,
        None if ran_through_the_window(seen) => Pace::Recovered,
        None => Pace::Trial,
    }
}

/// Slots whose tasks keep ending, each with the newest task that ended.
type Crashing<'a> = HashMap<i64, &'a Task>;

fn crashing<'a>(seen: &Seen<'a>, least: usize, after: DateTime<Utc>) -> Option<Crashing<'a>> {
    let mut ends: HashMap<i64, Vec<&Task>> = HashMap::new();
    for task in current(seen).filter(|task| ended_by_itself(task)) {
        if task.created_at.is_some_and(|created| created > after) {
            ends.entry(task.slot).or_default().push(task);
        }
    }
    let crashing: Crashing<'_> = ends
        .into_iter()
        .filter(|(slot, tasks)| tasks.len() >= least && !is_steady(seen, *slot))
        .filter_map(|(slot, tasks)| {
            Some((slot, tasks.into_iter().max_by_key(|task| task.created_at)?))
        })
        .collect();
    (!crashing.is_empty()).then_some(crashing)
}

/// Replicas that were kept up because they ran, and keep ending now.
fn kept_crashing<'a>(seen: &Seen<'a>, before: &CrashLoop) -> Option<Crashing<'a>> {
    let wanted = seen.tasks.iter().filter(|task| task.desired <= TaskState::Running);
    let slots: HashSet<i64> = wanted.map(|task| task.slot).collect();
    // Until Swarm has taken the others away, they cannot be told from these.
    let are_kept = usize::try_from(before.kept).is_ok_and(|kept| slots.len() <= kept);
    if seen.service.replicas != before.kept || !are_kept {
        return None;
    }
    let mut crashing = crashing(seen, CRASHES, seen.now - RECENTLY)?;
    crashing.retain(|slot, _| slots.contains(slot));
    (!crashing.is_empty()).then_some(crashing)
}

/// Keeps up those of `up` replicas that do not crash.
///
/// Swarm takes away replicas that do not run before those that do: as long as one that crashes runs,
/// another might go in its place. Where all of them crash, there is none to keep.
fn slow<'a>(seen: &Seen<'a>, crashing: Crashing<'a>, up: i32, round: i16) -> Pace<'a> {
    let runs = |slot: &i64| current(seen).any(|task| task.slot == *slot && is_running(task));
    let slots = i32::try_from(crashing.len()).unwrap_or(i32::MAX);
    let Some(culprit) = crashing.values().copied().max_by_key(|task| task.created_at) else {
        return Pace::Steady;
    };
    if slots < up && crashing.keys().any(runs) {
        return Pace::Crashing { culprit };
    }
    Pace::Slow { kept: (up - slots).max(0), round, culprit }
}

fn current<'a>(seen: &Seen<'a>) -> impl Iterator<Item = &'a Task> {
    let (hash, counter) = (&seen.service.spec_hash, seen.service.restart_counter);
    seen.tasks.iter().filter(move |task| task.spec_hash == *hash && task.restart_counter == counter)
}

fn ended_by_itself(task: &Task) -> bool {
    matches!(task.state, TaskState::Failed | TaskState::Rejected | TaskState::Complete)
}

/// Whether one of these tasks ended by itself a while ago: its app is worth a closer watch.
pub(super) fn ended_lately(tasks: &[Task], now: DateTime<Utc>) -> bool {
    let is_recent = |task: &Task| task.created_at.is_some_and(|created| created > now - RECENTLY);
    tasks.iter().any(|task| ended_by_itself(task) && is_recent(task))
}

fn is_running(task: &Task) -> bool {
    task.state == TaskState::Running && task.desired == TaskState::Running
}

/// Whether the slot's task was made at least a window ago, and runs.
fn is_steady(seen: &Seen<'_>, slot: i64) -> bool {
    let is_old =
        |task: &Task| task.created_at.is_some_and(|created| seen.now - created >= seen.window);
    current(seen).any(|task| task.slot == slot && is_running(task) && is_old(task))
}

fn ran_through_the_window(seen: &Seen<'_>) -> bool {
    let slots: HashMap<i64, &Task> =
        current(seen).filter(|task| is_running(task)).map(|task| (task.slot, task)).collect();
    slots.len() == usize::try_from(seen.desired).unwrap_or_default()
        && slots.keys().all(|slot| is_steady(seen, *slot))
}

#[cfg(test)]
mod tests;
