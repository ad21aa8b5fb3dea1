//! A service and its slots: SwarmKit's replicated orchestrator and its restart supervisor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::spec::RestartCondition;
use orchestrator::swarm::{ServiceSpec, TaskState, UpdateState};

use super::ground::{Event, Ground};
use super::rollout::Rollout;
use super::task::{Gate, Task};

/// Tasks of a slot that Swarm remembers.
const HISTORY: usize = 5;
/// How long a task waits at most for its predecessor to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A slot and the tasks in it that count.
pub(super) type Slot = (i64, Vec<u64>);

/// A service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) spec_version: u64,
    pub(super) previous: Option<(Arc<ServiceSpec>, u64)>,
    pub(super) update: Option<(UpdateState, String)>,
    /// When that update began.
    pub(super) update_began: Duration,
    pub(super) tasks: Vec<Task>,
    pub(super) rollout: Option<Rollout>,
    /// Only its tasks are left.
    pub(super) is_removed: bool,
}

impl Service {
    pub(super) fn new(ground: &mut Ground, spec: ServiceSpec) -> Self {
        let (number, version) = (ground.number(), ground.version());
        let service = Self {
            number,
            id: format!("service-{number}"),
            version,
            spec: Arc::new(spec),
            spec_version: version,
            previous: None,
            update: None,
            update_began: ground.now,
            tasks: Vec::new(),
            rollout: None,
            is_removed: false,
        };
        service.reconcile_soon(ground);
        service
    }

    /// A new spec: the rollout's status is forgotten, and what was there before is the one spec
    /// that Swarm could bring back.
    pub(super) fn give(&mut self, ground: &mut Ground, spec: ServiceSpec) {
        self.previous = Some((Arc::clone(&self.spec), self.spec_version));
        self.spec = Arc::new(spec);
        self.version = ground.version();
        self.spec_version = self.version;
        self.update = None;
        self.reconcile_soon(ground);
    }

    /// What `docker service rollback` does. False: there is nothing to bring back.
    pub(super) fn bring_back(&mut self, ground: &mut Ground) -> bool {
        let Some((spec, spec_version)) = self.previous.take() else { return false };
        let current = (std::mem::replace(&mut self.spec, spec), self.spec_version);
        self.previous = Some(current);
        self.spec_version = spec_version;
        self.version = ground.version();
        self.update_began = ground.now;
        self.update =
            Some((UpdateState::RollbackStarted, "manually requested rollback".to_owned()));
        self.reconcile_soon(ground);
        true
    }

    pub(super) fn remove(&mut self, ground: &mut Ground) {
        self.is_removed = true;
        self.rollout = None;
        for number in self.numbers(|_| true) {
            self.stop(ground, number, TaskState::Removed);
        }
    }

    pub(super) fn task(&self, number: u64) -> Option<&Task> {
        self.tasks.iter().find(|task| task.number == number)
    }

    pub(super) fn task_mut(&mut self, number: u64) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.number == number)
    }

    pub(super) fn numbers(&self, which: impl Fn(&Task) -> bool) -> Vec<u64> {
        self.tasks.iter().filter(|task| which(task)).map(|task| task.number).collect()
    }

    /// Swarm acts on what was written a moment later: whoever looks at once sees that nothing has
    /// happened yet.
    pub(super) fn reconcile_soon(&self, ground: &mut Ground) {
        let delay = Duration::from_micros(ground.chance.u64(500..20_000));
        ground.after(delay, Event::Reconcile { service: self.number });
    }

    /// Brings the slots to what the spec says: what is missing, what is too much, what is old.
    pub(super) fn reconcile(&mut self, ground: &mut Ground) {
        if self.is_removed {
            return;
        }
        let (mut live, mut dead) = self.slots();
        let wanted = usize::try_from(self.spec.replicas).unwrap_or_default();
        if wanted >= live.len() {
            let missing = wanted - live.len();
            let mut free = (1_i64..).filter(|slot| live.iter().all(|(taken, _)| taken != slot));
            let added: Vec<i64> = free.by_ref().take(missing).collect();
            self.roll_out(ground, live);
            for slot in added {
                dead.retain(|emptied| *emptied != slot);
                self.add(ground, slot, TaskState::Running);
            }
            self.tasks.retain(|task| !dead.contains(&task.slot));
        } else {
            self.keep_best_first(&mut live);
            let surplus = live.split_off(wanted);
            self.roll_out(ground, live);
            self.tasks.retain(|task| !dead.contains(&task.slot));
            for number in surplus.into_iter().flat_map(|(_, tasks)| tasks) {
                self.stop(ground, number, TaskState::Removed);
            }
        }
    }

    /// Slots with tasks that Swarm wants, and slots without.
    fn slots(&self) -> (Vec<Slot>, Vec<i64>) {
        let mut slots: BTreeMap<i64, Vec<&Task>> = BTreeMap::new();
        for task in &self.tasks {
            slots.entry(task.slot).or_default().push(task);
        }
        let rolls_back = matches!(self.update, Some((UpdateState::RollbackStarted, _)));
        let (mut live, mut dead) = (Vec::new(), Vec::new());
        for (slot, tasks) in slots {
            let wanted: Vec<u64> =
                tasks.iter().filter(|task| task.is_wanted()).map(|task| task.number).collect();
            // A slot whose last task ended for good still counts, or it would be filled again.
            let ended_for_good = tasks.last().filter(|task| !rolls_back && !restarts(task));
            match (wanted.is_empty(), ended_for_good) {
                (false, _) => live.push((slot, wanted)),
                (true, Some(last)) => live.push((slot, vec![last.number])),
                (true, None) => dead.push(slot),
            }
        }
        (live, dead)
    }

    /// Slots that run before those that do not, spread over the nodes: the last ones go first.
    fn keep_best_first(&self, live: &mut [Slot]) {
        let runs = |tasks: &[u64]| {
            tasks.iter().any(|number| {
                self.task(*number).is_some_and(|task| task.state == TaskState::Running)
            })
        };
        let node = |tasks: &[u64]| {
            tasks.last().and_then(|number| self.task(*number)).and_then(|task| task.node)
        };
        let mut seen: BTreeMap<Option<usize>, usize> = BTreeMap::new();
        live.sort_by_cached_key(|(slot, tasks)| {
            let on_its_node = seen.entry(node(tasks)).or_default();
            *on_its_node += 1;
            (!runs(tasks), *on_its_node, *slot)
        });
    }

    /// Whether a task is of another spec than the service.
    pub(super) fn is_dirty(&self, task: &Task) -> bool {
        task.spec_version != self.spec_version
            && (task.spec.spec_hash != self.spec.spec_hash
                || task.spec.restart_counter != self.spec.restart_counter
                || task.spec.endpoint_mode != self.spec.endpoint_mode
                || task.spec.task != self.spec.task)
    }

    /// A new task of the service's spec.
    pub(super) fn add(&mut self, ground: &mut Ground, slot: i64, desired: TaskState) -> u64 {
        let task = Task::new(ground, self.number, slot, &self.spec, self.spec_version, desired);
        let number = task.number;
        self.tasks.push(task);
        number
    }

    /// Swarm wants a task ended, or gone.
    pub(super) fn stop(&mut self, ground: &mut Ground, number: u64, desired: TaskState) {
        let Some(task) = self.task_mut(number) else { return };
        let is_done = task.stop(ground, desired);
        let goes = is_done && task.desired == TaskState::Removed;
        if is_done {
            self.opened_by(ground, number);
        }
        if goes {
            self.tasks.retain(|task| task.number != number);
        }
    }

    /// A task takes its next step.
    pub(super) fn step(&mut self, ground: &mut Ground, number: u64, token: u32) {
        let peers: Vec<usize> = self
            .tasks
            .iter()
            .filter(|task| task.is_wanted())
            .filter_map(|task| task.node)
            .collect();
        let Some(task) = self.task_mut(number) else { return };
        if !task.expects(token) || !task.advance(ground, &peers) {
            return;
        }
        let (state, desired, slot) = (task.state, task.desired, task.slot);
        if state < TaskState::Running {
            return;
        }
        self.saw(ground, number);
        if !state.is_over() {
            return;
        }
        self.opened_by(ground, number);
        if desired == TaskState::Removed {
            self.tasks.retain(|task| task.number != number);
        } else if desired <= TaskState::Running {
            // What restarts tasks and what watches the rollout race for the news.
            let delay = Duration::from_micros(ground.chance.u64(500..20_000));
            ground.after(delay, Event::Restart { service: self.number, task: number });
        }
        self.blame(ground, number);
        self.forget(slot);
    }

    /// Replaces a task that ended, or whose node is lost.
    pub(super) fn restart(&mut self, ground: &mut Ground, number: u64) {
        if self.is_removed {
            return;
        }
        let Some(task) = self.task_mut(number) else { return };
        if !task.is_wanted() {
            return;
        }
        if task.gate.is_some() {
            // Without this a missing image would be tried again and again without a pause.
            task.restarts_at_gate = true;
            return;
        }
        let waits = !task.state.is_over() && !ground.is_down(task.node);
        let (slot, delay, again) = (task.slot, task.spec.task.restart_delay, restarts(task));
        let successor = again.then(|| self.add(ground, slot, TaskState::Ready));
        self.stop(ground, number, TaskState::Shutdown);
        if let Some(successor) = successor {
            self.delay_start(ground, successor, delay, waits.then_some(number));
        }
        self.forget(slot);
    }

    /// Lets a task start after `delay`, and after `awaits` has ended.
    pub(super) fn delay_start(
        &mut self,
        ground: &mut Ground,
        number: u64,
        delay: Duration,
        awaits: Option<u64>,
    ) {
        let awaits = awaits.filter(|old| self.task(*old).is_some_and(|old| !old.state.is_over()));
        let service = self.number;
        let Some(task) = self.task_mut(number) else { return };
        task.gate = Some(Gate { delay_is_over: delay.is_zero(), awaits });
        if !delay.is_zero() {
            ground.after(delay, Event::Gate { service, task: number, patience_is_over: false });
        }
        if awaits.is_some() {
            ground.after(PATIENCE, Event::Gate { service, task: number, patience_is_over: true });
        }
        self.open(ground, number);
    }

    pub(super) fn gate(&mut self, ground: &mut Ground, number: u64, patience_is_over: bool) {
        if let Some(gate) = self.task_mut(number).and_then(|task| task.gate.as_mut()) {
            match patience_is_over {
                true => gate.awaits = None,
                false => gate.delay_is_over = true,
            }
            self.open(ground, number);
        }
    }

    /// Opens the gates that waited for this task's end.
    pub(super) fn opened_by(&mut self, ground: &mut Ground, ended: u64) {
        let mut opened = Vec::new();
        for task in &mut self.tasks {
            if let Some(gate) = &mut task.gate
                && gate.awaits == Some(ended)
            {
                gate.awaits = None;
                opened.push(task.number);
            }
        }
        for number in opened {
            self.open(ground, number);
        }
    }

    fn open(&mut self, ground: &mut Ground, number: u64) {
        let Some(task) = self.task_mut(number) else { return };
        if !task.gate.is_some_and(|gate| gate.delay_is_over && gate.awaits.is_none()) {
            return;
        }
        task.gate = None;
        if task.desired < TaskState::Running {
            task.desired = TaskState::Running;
            if task.state == TaskState::Ready {
                task.resume(ground);
            }
        }
        let restarts = std::mem::take(&mut task.restarts_at_gate);
        self.adopted(ground, number);
        if restarts {
            self.restart(ground, number);
        }
    }

    /// Forgets the oldest tasks of a slot that ended.
    fn forget(&mut self, slot: i64) {
        let mut surplus =
            self.tasks.iter().filter(|task| task.slot == slot).count().saturating_sub(HISTORY);
        self.tasks.retain(|task| {
            let goes =
                surplus > 0 && task.slot == slot && !task.is_wanted() && task.state.is_over();
            surplus -= usize::from(goes);
            !goes
        });
    }
}

/// Whether a task that ended is replaced.
fn restarts(task: &Task) -> bool {
    match task.spec.task.restart {
        RestartCondition::Any => true,
        RestartCondition::OnFailure => task.state != TaskState::Complete,
        RestartCondition::None => false,
    }
}
