//! What the services of the simulated Swarm stand on: time, chance, names, nodes and images.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use orchestrator::swarm::{Resources, ServiceSpec};

use super::behaviour::Behaviour;
use super::network::Networks;
use super::secrets::Secrets;

/// What each node has.
pub(super) const CAPACITY: Resources =
    Resources { cpu_nanos: 16_000_000_000, memory_bytes: 64 << 30 };

/// What a task of this spec reserves.
pub(super) fn reserved(spec: &ServiceSpec) -> Resources {
    Resources {
        cpu_nanos: spec.task.cpu_reserved_nanos,
        memory_bytes: spec.task.memory_reserved_bytes,
    }
}

/// Something that happens at a moment of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// Swarm looks at what was written.
    Reconcile { service: u64 },
    /// A task that ended, or whose node is lost, is replaced.
    Restart { service: u64, task: u64 },
    /// A task takes its next step, unless its token is another by now.
    Step { service: u64, task: u64, token: u32 },
    /// A task has waited for its restart delay, or long enough for its predecessor.
    Gate { service: u64, task: u64, patience_is_over: bool },
    /// A worker of a rollout has made its pause.
    Paused { service: u64, rollout: u64, worker: usize },
    /// A rollout has watched its last task for long enough.
    Watched { service: u64, rollout: u64 },
    /// A network gets its subnet.
    Allocated { network: u64 },
    /// A node has been away for long enough to be given up.
    NodeDown { node: usize, absence: u32 },
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) is_manager: bool,
    /// Nothing is heard from it.
    pub(super) is_away: bool,
    /// Swarm has given it up.
    pub(super) is_down: bool,
    /// How often it went away.
    pub(super) absences: u32,
    /// What happened on it while nothing was heard from it.
    pub(super) unheard: Vec<Event>,
}

/// Time, chance, names, nodes and images.
#[derive(Debug)]
pub(super) struct Ground {
    /// Since the beginning.
    pub(super) now: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    queued: u64,
    pub(super) chance: fastrand::Rng,
    last_number: u64,
    /// Swarm's one index, which each write raises.
    index: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) networks: Networks,
    pub(super) secrets: Secrets,
    pub(super) behaviours: HashMap<String, Vec<Arc<Behaviour>>>,
    usual: Arc<Behaviour>,
}

impl Ground {
    pub(super) fn new(seed: u64, workers: usize) -> Self {
        let node = |number: usize| Node {
            id: if number == 0 { "manager-1".to_owned() } else { format!("worker-{number}") },
            is_manager: number == 0,
            is_away: false,
            is_down: false,
            absences: 0,
            unheard: Vec::new(),
        };
        Self {
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            queued: 0,
            chance: fastrand::Rng::with_seed(seed),
            last_number: 0,
            index: 10,
            nodes: (0..=workers).map(node).collect(),
            networks: Networks::default(),
            secrets: Secrets::default(),
            behaviours: HashMap::new(),
            usual: Arc::new(Behaviour::default()),
        }
    }

    /// A number that nothing else has.
    pub(super) const fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The version of what is written now.
    pub(super) const fn version(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((self.now + delay, self.queued, event)));
    }

    /// The next event up to `end`, with the time set to its moment.
    pub(super) fn next(&mut self, end: Duration) -> Option<Event> {
        match self.queue.peek() {
            Some(Reverse((at, _, _))) if *at <= end => {
                let Reverse((at, _, event)) = self.queue.pop()?;
                self.now = at;
                Some(event)
            }
            _ => {
                self.now = self.now.max(end);
                None
            }
        }
    }

    /// About so long: nothing in a cluster takes the same time twice.
    pub(super) fn about(&mut self, usual: Duration) -> Duration {
        usual * self.chance.u32(85..=115) / 100
    }

    /// How a new task of this image behaves: one of what was said of it, by chance.
    pub(super) fn behaviour(&mut self, image: &str) -> Arc<Behaviour> {
        match self.behaviours.get(image).map(Vec::as_slice) {
            None | Some([]) => Arc::clone(&self.usual),
            Some([only]) => Arc::clone(only),
            Some(several) => Arc::clone(&several[self.chance.usize(..several.len())]),
        }
    }

    /// Whether Swarm has given this node up.
    pub(super) fn is_down(&self, node: Option<usize>) -> bool {
        node.and_then(|node| self.nodes.get(node)).is_some_and(|node| node.is_down)
    }

    /// Whether a node satisfies these constraints, as far as they are of its role.
    pub(super) fn suits(&self, node: usize, constraints: &[String]) -> bool {
        let Some(node) = self.nodes.get(node) else { return false };
        let role = if node.is_manager { "manager" } else { "worker" };
        !node.is_down
            && constraints.iter().all(|constraint| {
                let words: String = constraint.split_whitespace().collect();
                match (words.split_once("!="), words.split_once("==")) {
                    (Some(("node.role", other)), _) => other != role,
                    (None, Some(("node.role", wanted))) => wanted == role,
                    (None, Some((key, _))) => !key.starts_with("node.labels."),
                    _ => true,
                }
            })
    }
}
