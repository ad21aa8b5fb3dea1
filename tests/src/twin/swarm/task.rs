//! A task: SwarmKit's states, and what moves it from one to the next. It knows its behaviour and its
//! node; what its end means for its slot is `service`'s.

use std::sync::Arc;
use std::time::Duration;

use orchestrator::swarm::{ServiceSpec, TaskState};

use super::behaviour::{Behaviour, End, Pull, Stage};
use super::ground::{CAPACITY, Event, Ground, reserved};

/// Between two states that only pass messages.
const MESSAGE: Duration = Duration::from_millis(10);
/// Until a node says that it has no such image.
const REJECTION: Duration = Duration::from_millis(200);
/// From READY to the start of the process.
const START: Duration = Duration::from_millis(50);
/// How many of 256 ends are reported apart from the start that never was.
const TWO_REPORTS: u8 = 64;
/// What stopping a container takes beside the process's own time.
const STOP: Duration = Duration::from_millis(100);

/// A task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) service: u64,
    pub(super) number: u64,
    pub(super) slot: i64,
    pub(super) node: Option<usize>,
    pub(super) state: TaskState,
    pub(super) desired: TaskState,
    pub(super) created: Duration,
    pub(super) ended: Option<Duration>,
    pub(super) error: Option<String>,
    pub(super) exit_code: Option<i64>,
    pub(super) has_container: bool,
    pub(super) started: bool,
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) spec_version: u64,
    pub(super) behaviour: Arc<Behaviour>,
    /// Raised by whatever makes a step that is queued already void.
    token: u32,
    /// When the process ends by itself.
    ends_at: Option<Duration>,
    pub(super) gate: Option<Gate>,
    /// It ended while it waited at its gate: it is restarted when that opens.
    pub(super) restarts_at_gate: bool,
}

/// What keeps a task from being started: SwarmKit's `DelayStart`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    pub(super) delay_is_over: bool,
    /// The task that has to end first.
    pub(super) awaits: Option<u64>,
}

impl Task {
    pub(super) fn new(
        ground: &mut Ground,
        service: u64,
        slot: i64,
        spec: &Arc<ServiceSpec>,
        spec_version: u64,
        desired: TaskState,
    ) -> Self {
        let mut task = Self {
            service,
            number: ground.number(),
            slot,
            node: None,
            state: TaskState::New,
            desired,
            created: ground.now,
            ended: None,
            error: None,
            exit_code: None,
            has_container: false,
            started: false,
            behaviour: ground.behaviour(&spec.task.image),
            spec: Arc::clone(spec),
            spec_version,
            token: 0,
            ends_at: None,
            gate: None,
            restarts_at_gate: false,
        };
        task.step_after(ground, MESSAGE);
        task
    }

    pub(super) fn id(&self) -> String {
        format!("task-{}", self.number)
    }

    /// Whether Swarm still wants it.
    pub(super) fn is_wanted(&self) -> bool {
        self.desired <= TaskState::Running
    }

    /// Whether a step with this token still counts.
    pub(super) const fn expects(&self, token: u32) -> bool {
        self.token == token
    }

    fn step_after(&mut self, ground: &mut Ground, usual: Duration) {
        let delay = ground.about(usual);
        self.token += 1;
        let step = Event::Step { service: self.service, task: self.number, token: self.token };
        ground.after(delay, step);
    }

    /// Goes on from where it waits: for a node, an address, or for leave to start.
    pub(super) fn resume(&mut self, ground: &mut Ground) {
        self.step_after(ground, MESSAGE);
    }

    /// Swarm wants it ended. True: it is done with at once.
    pub(super) fn stop(&mut self, ground: &mut Ground, desired: TaskState) -> bool {
        self.desired = self.desired.max(desired);
        if self.state.is_over() {
            return true;
        }
        if self.state == TaskState::New {
            // Without an address nobody ends it: it stays NEW, unless it is to go altogether.
            return self.desired == TaskState::Removed;
        }
        let grace = self.spec.task.stop_grace_period;
        let usual = match self.started {
            true => self.behaviour.stops_after.min(grace) + STOP,
            false if self.node.is_none() => MESSAGE,
            false => STOP,
        };
        self.step_after(ground, usual);
        false
    }

    /// Takes its next step. False: it stays where it is. `peers`: nodes of the tasks beside it.
    pub(super) fn advance(&mut self, ground: &mut Ground, peers: &[usize]) -> bool {
        if self.state.is_over() {
            return false;
        }
        if self.state == TaskState::New && !self.is_wanted() {
            return false;
        }
        if !self.is_wanted() {
            self.stopped(ground.now);
            return true;
        }
        match self.state {
            TaskState::New => return self.allocate(ground),
            TaskState::Pending => return self.assign(ground, peers),
            TaskState::Assigned => {
                self.state = TaskState::Accepted;
                self.step_after(ground, MESSAGE);
            }
            TaskState::Accepted => {
                self.state = TaskState::Preparing;
                match self.behaviour.pull {
                    Pull::Takes(usual) => self.step_after(ground, usual),
                    Pull::Missing => self.step_after(ground, REJECTION),
                    Pull::Never => {}
                }
            }
            TaskState::Preparing if self.behaviour.pull == Pull::Missing => {
                self.over(TaskState::Rejected, ground.now);
                self.error = Some(format!("No such image: {}", self.spec.task.image));
            }
            TaskState::Preparing => {
                self.state = TaskState::Ready;
                self.has_container = true;
                if self.desired == TaskState::Running {
                    self.step_after(ground, START);
                }
            }
            TaskState::Ready => self.start(ground),
            TaskState::Starting if self.ends_at.is_none_or(|end| end > ground.now) => {
                self.state = TaskState::Running;
                if let Some(end) = self.ends_at {
                    self.step_at(ground, end);
                }
            }
            // The node's agent takes a process that ended with 0 before it was healthy for started,
            // and looks at its end afterwards; both reports mostly reach the manager as one.
            TaskState::Starting
                if self.ends_with().0 == 0 && ground.chance.u8(..) < TWO_REPORTS =>
            {
                self.state = TaskState::Running;
                self.step_after(ground, MESSAGE);
            }
            _ => self.ended(ground.now),
        }
        true
    }

    /// Its process ends by itself, now.
    pub(super) fn end(&mut self, ground: &mut Ground) {
        self.step_at(ground, ground.now);
    }

    fn step_at(&mut self, ground: &mut Ground, at: Duration) {
        self.token += 1;
        let step = Event::Step { service: self.service, task: self.number, token: self.token };
        ground.after(at.saturating_sub(ground.now), step);
    }

    fn allocate(&mut self, ground: &mut Ground) -> bool {
        if !ground.networks.is_allocated(&self.spec.task.network) {
            return false;
        }
        self.state = TaskState::Pending;
        match self.behaviour.schedule {
            Stage::Takes(usual) => self.step_after(ground, usual),
            Stage::Never => {
                self.error = Some(insufficient(ground.nodes.len()));
            }
        }
        true
    }

    /// A node that suits, with the fewest of its own kind; chance decides between equals.
    fn assign(&mut self, ground: &mut Ground, peers: &[usize]) -> bool {
        let constraints = &self.spec.task.constraints;
        let load = |node: usize| peers.iter().filter(|peer| **peer == node).count();
        let suitable = (0..ground.nodes.len()).filter(|node| ground.suits(*node, constraints));
        // What other tasks have reserved is not looked at: a node has room for all that fit alone.
        let has_room = CAPACITY.hold(reserved(&self.spec));
        if !has_room || self.behaviour.schedule == Stage::Never {
            self.error = Some(insufficient(ground.nodes.len()));
            return false;
        }
        let fewest = suitable.clone().map(load).min();
        let least: Vec<usize> = suitable.filter(|node| Some(load(*node)) == fewest).collect();
        if least.is_empty() {
            if self.error.is_none() {
                let nodes = ground.nodes.len();
                self.error = Some(format!(
                    "no suitable node (scheduling constraints not satisfied on {nodes} {})",
                    if nodes == 1 { "node" } else { "nodes" }
                ));
            }
            return false;
        }
        self.node = Some(least[ground.chance.usize(..least.len())]);
        self.error = None;
        self.state = TaskState::Assigned;
        self.step_after(ground, MESSAGE);
        true
    }

    fn start(&mut self, ground: &mut Ground) {
        self.state = TaskState::Starting;
        self.started = true;
        let is_checked = self.spec.task.health_check.is_some();
        let healthy_after = match is_checked {
            true => self.behaviour.healthy_after.map(|usual| ground.about(usual)),
            false => Some(MESSAGE),
        };
        let ends_after = match self.behaviour.ends {
            Some((_, End::Unhealthy(_))) if !is_checked => None,
            Some((usual, _)) => Some(ground.about(usual)),
            None => None,
        };
        self.ends_at = ends_after.map(|after| ground.now + after);
        let next = match (healthy_after, ends_after) {
            (Some(healthy), Some(ends)) => Some(healthy.min(ends)),
            (one, other) => one.or(other),
        };
        if let Some(after) = next {
            self.step_at(ground, ground.now + after);
        }
    }

    /// It was told to end, and did.
    fn stopped(&mut self, now: Duration) {
        self.over(TaskState::Shutdown, now);
        self.error = None;
        if self.started {
            let was_killed = self.behaviour.stops_after > self.spec.task.stop_grace_period;
            self.exit_code = Some(if was_killed { 137 } else { 0 });
        }
    }

    const fn over(&mut self, state: TaskState, now: Duration) {
        self.state = state;
        self.ended = Some(now);
    }

    /// The exit code that it ends with by itself, and what Swarm says beside it.
    fn ends_with(&self) -> (i64, &'static str) {
        match self.behaviour.ends {
            Some((_, End::Exit(code))) => (code, ""),
            Some((_, End::Unhealthy(_))) if self.spec.task.stop_signal == "SIGKILL" => {
                (137, ": dockerexec: unhealthy container")
            }
            Some((_, End::Unhealthy(code))) => (code, ": dockerexec: unhealthy container"),
            Some((_, End::OutOfMemory)) => (137, ""),
            None => (0, ""),
        }
    }

    /// It ended by itself.
    fn ended(&mut self, now: Duration) {
        let (code, cause) = self.ends_with();
        self.exit_code = Some(code);
        if code == 0 {
            self.over(TaskState::Complete, now);
        } else {
            self.over(TaskState::Failed, now);
            self.error = Some(format!("task: non-zero exit ({code}){cause}"));
        }
    }
}

/// What Swarm says of a task that is too large for its nodes.
fn insufficient(nodes: usize) -> String {
    let noun = if nodes == 1 { "node" } else { "nodes" };
    format!("no suitable node (insufficient resources on {nodes} {noun})")
}
