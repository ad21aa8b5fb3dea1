//! What is seen of one deployment at one moment: its row, its service, its tasks.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use db::ledger::Marks;
use model::deployment::Deployment;
use model::evidence::{Evidence, MAX_UPDATE_STATUSES, UpdateStatusRecord};
use model::names;
use model::status::Status;

use crate::swarm::{Service, Task, TaskState, UpdateState, UpdateStatus};

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
    /// `None`: this driver has not applied it.
    pub(super) before: Option<HashSet<String>>,
    /// Since when this driver sees the service without interruption. Deadlines count the time in
    /// which somebody watched: an outage of ours is no fault of a release.
    pub(super) watching_since: Option<DateTime<Utc>>,
    /// Since when each task is in its stage.
    stages: HashMap<String, (Stage, DateTime<Utc>)>,
    /// Most replicas that were seen running at once.
    pub(super) most_running: usize,
    /// The tasks that are watched through the window. A window is theirs: it begins anew when one
    /// of them is another.
    pub(super) watched: Option<BTreeSet<String>>,
    /// A removal could not scale to zero first.
    pub(super) undrainable: bool,
    /// What Swarm's UpdateStatus became since it has our spec, oldest first.
    pub(super) update_statuses: Vec<UpdateStatusRecord>,
    /// The evidence that this driver has written down.
    pub(super) evidence: Option<Evidence>,
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
    /// Remembers which tasks were there before our spec was.
    pub(super) fn remember_before(&mut self, tasks: Vec<String>) {
        self.before = Some(tasks.into_iter().collect());
        self.most_running = 0;
    }

    /// Remembers whose window begins, where these marks begin one.
    pub(super) fn begin_window(&mut self, marks: Marks, tasks: BTreeSet<String>) {
        if marks.healthy == Some(true) {
            self.watched = Some(tasks);
        }
    }

    /// Swarm or the ledger did not answer: what happened meanwhile is not known, or nobody acted on it.
    pub(super) fn lose_sight(&mut self) {
        self.watching_since = None;
        self.stages.clear();
    }

    /// Notes what UpdateStatus is, where it is another than at the last look. Before Swarm has our
    /// spec it tells of an older deployment's.
    pub(super) fn note_update(
        &mut self,
        status: Status,
        service: Option<&Service>,
        now: DateTime<Utc>,
    ) {
        if !matches!(status, Status::Updating | Status::Verifying | Status::RollingBack) {
            return;
        }
        let Some(UpdateStatus { state, message, .. }) =
            service.and_then(|service| service.update.as_ref())
        else {
            return;
        };
        let known = self
            .update_statuses
            .last()
            .is_some_and(|last| last.state == state.as_str() && last.message == *message);
        if known {
            return;
        }
        if self.update_statuses.len() >= MAX_UPDATE_STATUSES {
            self.update_statuses.remove(0);
        }
        self.update_statuses.push(UpdateStatusRecord {
            state: state.as_str().into(),
            message: message.clone(),
            seen_at: now,
        });
    }

    /// The evidence that goes with an end: what was written down when it went wrong, with what
    /// UpdateStatus became until now. A successor has none, and leaves what its predecessor wrote.
    pub(super) fn evidence_of_end(&self, to: Status) -> Option<Evidence> {
        let wrong =
            matches!(to, Status::RolledBack | Status::Failed | Status::Canceled | Status::Stuck);
        let evidence = self.evidence.as_ref().filter(|_| wrong)?;
        Some(Evidence { update_statuses: self.update_statuses.clone(), ..evidence.clone() })
    }

    /// Notes the stages of tasks that are on their way. A task that Swarm wants no further than
    /// READY waits for its restart delay, or for the one that it replaces: no deadline counts.
    pub(super) fn note(&mut self, tasks: &[Task], now: DateTime<Utc>) {
        self.watching_since.get_or_insert(now);
        let on_their_way = tasks
            .iter()
            .filter(|task| task.desired == TaskState::Running)
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

    /// The tasks of the service's spec that run.
    pub(super) fn running_ids(&self) -> BTreeSet<String> {
        let Some(service) = &self.service else { return BTreeSet::new() };
        self.current_tasks(service)
            .filter(|task| task.state == TaskState::Running)
            .map(|task| task.id.clone())
            .collect()
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

    /// How many tasks Swarm wants, against how many replicas the service has: it may lose count of its
    /// slots, or keep up two tasks in one.
    pub(super) fn count(&self, service: &Service) -> Ordering {
        let wanted = self.tasks.iter().filter(|task| task.desired <= TaskState::Running);
        let slots: Vec<i64> = wanted.map(|task| task.slot).collect();
        let replicas = usize::try_from(service.replicas).unwrap_or_default();
        if slots.len() > replicas {
            return Ordering::Greater;
        }
        let slots: HashSet<i64> = slots.into_iter().collect();
        slots.len().cmp(&replicas)
    }

    /// Whether no task of the service runs any more.
    pub(super) fn all_over(&self) -> bool {
        self.tasks.iter().all(Task::is_over)
    }

    /// Whether Swarm has given up a task that had no node yet: its state stays what it is, and what follows it
    /// in its slot may have to wait until Swarm's patience ends.
    pub(super) fn has_unplaced(&self) -> bool {
        self.tasks.iter().any(|task| task.is_over() && !task.state.is_over())
    }

    /// Whether Swarm is about to forget a task.
    pub(super) fn forgets_tasks(&self) -> bool {
        forgets_tasks(&self.tasks)
    }

    /// Tasks that ended without being told to, since our spec was applied; newest first. On the way
    /// back only those of the spec that is coming back.
    pub(super) fn failed_tasks(&self) -> Vec<&Task> {
        let going_back = self.deployment.status == Status::RollingBack;
        let current = self.service.as_ref().and_then(|service| service.spec_hash.as_ref());
        let mut failed: Vec<&Task> = self
            .tasks
            .iter()
            .filter(|task| {
                matches!(task.state, TaskState::Failed | TaskState::Rejected | TaskState::Complete)
            })
            .filter(|task| !going_back || task.spec_hash.as_ref() == current)
            .filter(|task| self.is_newer(task))
            .collect();
        failed.sort_by_key(|task| std::cmp::Reverse(task.created_at));
        failed
    }

    /// Whether the task was made after our spec was applied.
    fn is_newer(&self, task: &Task) -> bool {
        match &self.memory.before {
            Some(before) => !before.contains(&task.id),
            // A successor of a dead driver does not remember: the clocks of Swarm and Postgres tell.
            None => match (task.created_at, self.deployment.started_at) {
                (Some(created), Some(started)) => created > started,
                _ => true,
            },
        }
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
        service.update.as_ref().map(|update| update.state)
    }
}

/// Whether Swarm is about to forget one of these tasks: it has ended, and its slot is gone.
pub(crate) fn forgets_tasks(tasks: &[Task]) -> bool {
    tasks.iter().any(|task| task.desired == TaskState::Removed && task.state.is_over())
}
