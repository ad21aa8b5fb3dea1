//! What is seen of one deployment at one moment: its row, its service, its tasks.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use model::deployment::Deployment;
use model::names;

use crate::swarm::{Service, Task, TaskState, UpdateState};

/// One look at everything that a plan depends on.
#[derive(Debug)]
pub(super) struct Observation<'a> {
    /// The row, as it stands.
    pub(super) deployment: Deployment,
    /// Postgres's clock at that moment.
    pub(super) now: DateTime<Utc>,
    /// The service, where there is one.
    pub(super) service: Option<Service>,
    /// Its tasks, those that ended included.
    pub(super) tasks: Vec<Task>,
    /// What the driver remembers from earlier looks.
    pub(super) memory: &'a Memory,
}

/// What one driver remembers between two looks. Lost when it dies: its successor starts afresh and
/// grants each task its deadlines again, while the deadline for progress stands in Postgres.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Tasks that were there before our spec was applied: what became of them is not our doing.
    pub(super) before: HashSet<String>,
    /// Since when each task is in its stage.
    stages: HashMap<String, (Stage, DateTime<Utc>)>,
    /// Most replicas that were seen running at once.
    pub(super) most_running: usize,
}

/// What a task waits for. Each stage has its own deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// An address and a node.
    Schedule,
    /// Its image.
    Pull,
    /// To run, and to be healthy.
    Healthy,
}

impl Stage {
    pub(super) fn of(state: TaskState) -> Option<Self> {
        match state {
            TaskState::New | TaskState::Pending => Some(Self::Schedule),
            TaskState::Assigned | TaskState::Accepted | TaskState::Preparing => Some(Self::Pull),
            TaskState::Ready | TaskState::Starting => Some(Self::Healthy),
            TaskState::Running
            | TaskState::Complete
            | TaskState::Shutdown
            | TaskState::Failed
            | TaskState::Rejected
            | TaskState::Removed
            | TaskState::Orphaned => None,
        }
    }
}

impl Memory {
    /// Notes the stages of tasks that are on their way.
    pub(super) fn note(&mut self, tasks: &[Task], now: DateTime<Utc>) {
        let on_their_way = tasks
            .iter()
            .filter(|task| task.desired <= TaskState::Running)
            .filter_map(|task| Some((task.id.clone(), Stage::of(task.state)?)));
        let mut stages = HashMap::new();
        for (id, stage) in on_their_way {
            let since = match self.stages.get(&id) {
                Some((before, since)) if *before == stage => *since,
                _ => now,
            };
            stages.insert(id, (stage, since));
        }
        self.stages = stages;
    }
}

impl Observation<'_> {
    /// Whether this deployment wrote the service's spec (or its going back).
    pub(super) fn is_ours(&self, service: &Service) -> bool {
        service.label(names::LABEL_DEPLOYMENT) == Some(&*self.deployment.id.to_string())
    }

    /// Tasks of the spec that the service carries now and that Swarm wants running.
    pub(super) fn current_tasks<'t>(
        &'t self,
        service: &'t Service,
    ) -> impl Iterator<Item = &'t Task> {
        self.tasks.iter().filter(|task| {
            task.desired <= TaskState::Running
                && task.spec_hash == service.spec_hash
                && task.restart_counter == service.restart_counter
        })
    }

    /// How many of them run (and are healthy, where there is a health check).
    pub(super) fn running(&self, service: &Service) -> usize {
        self.current_tasks(service).filter(|task| task.state == TaskState::Running).count()
    }

    /// Whether every desired replica of the service's spec runs, and Swarm wants none of another
    /// spec. With no replicas desired: whether the last one has ended.
    pub(super) fn all_running(&self, service: &Service) -> bool {
        let desired = usize::try_from(service.replicas).unwrap_or_default();
        if desired == 0 {
            return self.all_over();
        }
        let wanted = self.tasks.iter().filter(|task| task.desired <= TaskState::Running).count();
        self.running(service) == desired && wanted == desired
    }

    /// Whether no task of the service runs any more.
    pub(super) fn all_over(&self) -> bool {
        self.tasks.iter().all(|task| task.state.is_over())
    }

    /// Tasks that ended without being told to, since our spec was applied; newest first.
    pub(super) fn failed_tasks(&self) -> Vec<&Task> {
        let started = self.deployment.started_at;
        let mut failed: Vec<&Task> = self
            .tasks
            .iter()
            .filter(|task| {
                matches!(task.state, TaskState::Failed | TaskState::Rejected | TaskState::Complete)
            })
            .filter(|task| !self.memory.before.contains(&task.id))
            // A successor of a dead driver does not remember what was before: the clocks tell.
            .filter(|task| {
                task.created_at.is_none() || started.is_none() || task.created_at > started
            })
            .collect();
        failed.sort_by_key(|task| std::cmp::Reverse(task.created_at));
        failed
    }

    /// The task that waits longest in a stage, with the stage and the time.
    pub(super) fn overdue(&self, limit: impl Fn(Stage) -> Duration) -> Option<(&Task, Stage)> {
        self.tasks.iter().find_map(|task| {
            let (stage, since) = self.memory.stages.get(&task.id)?;
            (self.now - *since > limit(*stage)).then_some((task, *stage))
        })
    }

    /// Swarm's UpdateStatus.
    pub(super) fn update(service: &Service) -> Option<UpdateState> {
        service.update.as_ref().map(|(state, _)| *state)
    }
}
