//! A rollout: SwarmKit's updater. It replaces the slots that are not of the service's spec, as many
//! at once as the policy says, watches the new tasks, and stops or takes the spec back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use model::update_policy::{FailureAction, UpdateOrder};
use orchestrator::swarm::{RolloutSpec, ServiceSpec, TaskState, UpdateState};

use super::ground::{Event, Ground};
use super::service::{Service, Slot};

/// A rollout in progress.
#[derive(Debug)]
pub(super) struct Rollout {
    number: u64,
    goal: Arc<ServiceSpec>,
    rules: RolloutSpec,
    /// Slots that it began with.
    slots: usize,
    waiting: VecDeque<Slot>,
    workers: Vec<Work>,
    /// Its new tasks, and when each of them ran or ended.
    made: Vec<(u64, Option<Duration>)>,
    /// Those that failed and were counted.
    failed: Vec<u64>,
    /// Those that failed while nobody looked: the last slot was handed out, and not yet watched.
    unseen: Vec<u64>,
    is_stopped: bool,
    is_watching: bool,
}

/// What one of a rollout's workers does.
#[derive(Debug)]
enum Work {
    Idle,
    /// Waits for a new task to run; then the old ones end, if they have not before.
    Replaces {
        task: u64,
        old: Vec<u64>,
        order: UpdateOrder,
    },
    /// Waits for leave to start a task that was there already.
    Adopts {
        task: u64,
    },
    /// Makes the policy's pause.
    Pauses,
}

impl Rollout {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.workers.iter().all(|work| matches!(work, Work::Idle))
    }
}

impl Service {
    /// Begins a rollout over these slots, unless one is under way to the same spec.
    pub(super) fn roll_out(&mut self, ground: &mut Ground, slots: Vec<Slot>) {
        if let Some(rollout) = &self.rollout
            && (Arc::ptr_eq(&rollout.goal, &self.spec) || rollout.goal == self.spec)
        {
            return;
        }
        self.rollout = None;
        let state = self.update.as_ref().map(|(state, _)| *state);
        if matches!(state, Some(UpdateState::Paused | UpdateState::RollbackPaused)) {
            return;
        }
        let is_dirty = |tasks: &[u64]| {
            tasks.len() > 1
                || tasks
                    .iter()
                    .filter_map(|number| self.task(*number))
                    .any(|task| self.is_dirty(task))
        };
        let mut dirty: Vec<Slot> = slots.into_iter().filter(|(_, t)| is_dirty(t)).collect();
        if dirty.is_empty() {
            if matches!(state, Some(UpdateState::Updating | UpdateState::RollbackStarted)) {
                self.complete(ground);
            }
            return;
        }
        if state.is_none() {
            self.tell(ground, UpdateState::Updating, "update in progress".into());
        }
        let rules = match state {
            Some(UpdateState::RollbackStarted) => self.spec.rollback.clone(),
            _ => self.spec.update.clone(),
        };
        ground.chance.shuffle(&mut dirty);
        let workers = match usize::try_from(rules.parallelism).unwrap_or_default() {
            0 => dirty.len(),
            parallelism => parallelism.min(dirty.len()),
        };
        self.rollout = Some(Rollout {
            number: ground.number(),
            goal: Arc::clone(&self.spec),
            rules,
            slots: dirty.len(),
            waiting: dirty.into(),
            workers: (0..workers).map(|_| Work::Idle).collect(),
            made: Vec::new(),
            failed: Vec::new(),
            unseen: Vec::new(),
            is_stopped: false,
            is_watching: false,
        });
        self.hand_out(ground);
    }

    fn tell(&mut self, ground: &mut Ground, state: UpdateState, message: String) {
        if self.update.is_none() {
            self.update_began = ground.now;
        }
        self.update = Some((state, message));
        self.version = ground.version();
    }

    /// Gives idle workers the slots that wait; after the last one, begins to watch.
    fn hand_out(&mut self, ground: &mut Ground) {
        while let Some(rollout) = &mut self.rollout {
            let idle = rollout.workers.iter().position(|work| matches!(work, Work::Idle));
            let Some(worker) = idle else { return };
            let Some(slot) = rollout.waiting.pop_front() else { break };
            self.replace(ground, worker, slot);
        }
        let Some(rollout) = &mut self.rollout else { return };
        if !rollout.is_idle() || rollout.is_watching {
            return;
        }
        if rollout.is_stopped {
            self.rollout = None;
            return;
        }
        rollout.is_watching = true;
        let watched = Event::Watched { service: self.number, rollout: rollout.number };
        ground.after(rollout.rules.monitor, watched);
        for number in std::mem::take(&mut rollout.unseen) {
            self.blame(ground, number);
        }
    }

    /// One slot: a task of the new spec that is there already is used, or a new one is made.
    fn replace(&mut self, ground: &mut Ground, worker: usize, (slot, tasks): Slot) {
        let clean = |wanted: fn(TaskState) -> bool| {
            tasks.iter().copied().find(|number| {
                self.task(*number).is_some_and(|task| wanted(task.desired) && !self.is_dirty(task))
            })
        };
        let existing = clean(|desired| desired == TaskState::Running)
            .or_else(|| clean(|desired| desired < TaskState::Running));
        if let Some(existing) = existing {
            let others: Vec<u64> = tasks.into_iter().filter(|number| *number != existing).collect();
            let old = self.end_old(ground, &others);
            let runs = self.task(existing).is_some_and(|task| task.desired == TaskState::Running);
            if runs {
                self.pause(ground, worker);
            } else {
                self.work(worker, Work::Adopts { task: existing });
                self.delay_start(ground, existing, Duration::ZERO, old);
            }
            return;
        }
        let Some(order) = self.rollout.as_ref().map(|rollout| rollout.rules.order) else {
            return;
        };
        let task = self.add(ground, slot, TaskState::Ready);
        if let Some(rollout) = &mut self.rollout {
            rollout.made.push((task, None));
        }
        let awaits = match order {
            UpdateOrder::StartFirst => None,
            UpdateOrder::StopFirst => self.end_old(ground, &tasks),
        };
        self.work(worker, Work::Replaces { task, old: tasks, order });
        self.delay_start(ground, task, Duration::ZERO, awaits);
    }

    fn work(&mut self, worker: usize, work: Work) {
        if let Some(place) =
            self.rollout.as_mut().and_then(|rollout| rollout.workers.get_mut(worker))
        {
            *place = work;
        }
    }

    /// Ends those of these tasks that Swarm still wants; returns one of them.
    fn end_old(&mut self, ground: &mut Ground, old: &[u64]) -> Option<u64> {
        let mut ended = None;
        for number in old {
            if self.task(*number).is_some_and(super::task::Task::is_wanted) {
                self.stop(ground, *number, TaskState::Shutdown);
                ended = ended.or(Some(*number));
            }
        }
        ended
    }

    /// A task runs, or has ended: the worker that waited for it goes on.
    pub(super) fn saw(&mut self, ground: &mut Ground, number: u64) {
        let runs = self.task(number).is_some_and(|task| task.state == TaskState::Running);
        let Some(rollout) = &mut self.rollout else { return };
        let now = ground.now;
        if let Some((_, seen @ None)) = rollout.made.iter_mut().find(|(made, _)| *made == number) {
            *seen = Some(now);
        }
        let waits = |work: &Work| matches!(work, Work::Replaces { task, .. } if *task == number);
        let Some(worker) = rollout.workers.iter().position(waits) else { return };
        let done = std::mem::replace(&mut rollout.workers[worker], Work::Pauses);
        if let Work::Replaces { old, order: UpdateOrder::StartFirst, .. } = done
            && runs
        {
            self.end_old(ground, &old);
        }
        self.pause(ground, worker);
    }

    /// A task that was there already may start: the worker that waited for it goes on.
    pub(super) fn adopted(&mut self, ground: &mut Ground, number: u64) {
        let Some(rollout) = &self.rollout else { return };
        let waits = |work: &Work| matches!(work, Work::Adopts { task } if *task == number);
        if let Some(worker) = rollout.workers.iter().position(waits) {
            self.pause(ground, worker);
        }
    }

    fn pause(&mut self, ground: &mut Ground, worker: usize) {
        // Without a pause, too, through the queue: or a worker would go on inside itself.
        let Some(rollout) = &mut self.rollout else { return };
        rollout.workers[worker] = Work::Pauses;
        let paused = Event::Paused { service: self.number, rollout: rollout.number, worker };
        ground.after(rollout.rules.delay, paused);
    }

    /// A worker has made its pause.
    pub(super) fn paused(&mut self, ground: &mut Ground, rollout: u64, worker: usize) {
        if self.rollout.as_ref().is_some_and(|current| current.number == rollout) {
            self.work(worker, Work::Idle);
            self.hand_out(ground);
        }
    }

    /// A task ended: it counts, if it is the rollout's and was still watched.
    pub(super) fn blame(&mut self, ground: &mut Ground, number: u64) {
        let Some(rollout) = &mut self.rollout else { return };
        if rollout.is_stopped || rollout.failed.contains(&number) {
            return;
        }
        if rollout.waiting.is_empty() && !rollout.is_watching {
            rollout.unseen.push(number);
            return;
        }
        let Some((_, seen)) = rollout.made.iter().find(|(made, _)| *made == number) else {
            return;
        };
        if seen.is_some_and(|at| ground.now - at > rollout.rules.monitor) {
            return;
        }
        rollout.failed.push(number);
        let share = rollout.failed.len() as f32 / rollout.slots as f32;
        if share <= rollout.rules.max_failure_ratio {
            return;
        }
        rollout.is_stopped = true;
        rollout.waiting.clear();
        rollout.is_watching = false;
        let cause = format!("due to failure or early termination of task task-{number}");
        match (rollout.rules.failure_action, &self.update) {
            // Somebody wrote the service since: Swarm then only stops.
            (_, None) => {}
            (_, Some((UpdateState::RollbackStarted, _))) => {
                self.tell(ground, UpdateState::RollbackPaused, format!("rollback paused {cause}"));
            }
            (FailureAction::Pause, Some(_)) => {
                self.tell(ground, UpdateState::Paused, format!("update paused {cause}"));
            }
            (FailureAction::Rollback, Some(_)) => {
                if let Some((spec, spec_version)) = self.previous.take() {
                    self.spec = spec;
                    self.spec_version = spec_version;
                    let told = format!("update rolled back {cause}");
                    self.tell(ground, UpdateState::RollbackStarted, told);
                    self.reconcile_soon(ground);
                }
            }
        }
        self.hand_out(ground);
    }

    /// The last task was watched for long enough.
    pub(super) fn watched(&mut self, ground: &mut Ground, rollout: u64) {
        let is_over = |current: &Rollout| {
            current.number == rollout && current.is_watching && !current.is_stopped
        };
        if self.rollout.as_ref().is_some_and(is_over) {
            self.complete(ground);
        }
    }

    fn complete(&mut self, ground: &mut Ground) {
        self.rollout = None;
        match &self.update {
            // Somebody wrote the service since.
            None => return,
            Some((UpdateState::RollbackStarted, _)) => {
                self.tell(ground, UpdateState::RollbackCompleted, "rollback completed".into());
            }
            Some(_) => self.tell(ground, UpdateState::Completed, "update completed".into()),
        }
        self.reconcile_soon(ground);
    }
}
