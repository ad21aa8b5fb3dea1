use std::collections::BTreeMap;

use chrono::TimeDelta;
use model::id::{AppId, DeploymentId, OrganizationId};

use super::*;

/// An app of two replicas with a window of 5 s, at some moment.
struct Case {
    now: DateTime<Utc>,
    service: Service,
    tasks: Vec<Task>,
    desired: i32,
    before: Option<CrashLoop>,
}

impl Case {
    fn new() -> Self {
        let service = Service {
            id: "service".into(),
            version: 1,
            labels: std::collections::BTreeMap::new(),
            replicas: 2,
            image: None,
            spec_hash: Some("now".into()),
            restart_counter: 0,
            pauses_on_failure: false,
            networks: Vec::new(),
            virtual_address: None,
            parts: BTreeMap::new(),
            update: None,
        };
        Self { now: Utc::now(), service, tasks: Vec::new(), desired: 2, before: None }
    }

    /// A task of this slot, made so many seconds ago.
    fn task(mut self, slot: i64, state: TaskState, seconds: i64) -> Self {
        let over = state.is_over();
        self.tasks.push(Task {
            id: format!("task-{}", self.tasks.len()),
            slot,
            node: None,
            state,
            desired: if over { TaskState::Shutdown } else { TaskState::Running },
            created_at: Some(self.now - TimeDelta::seconds(seconds)),
            ended_at: None,
            error: None,
            exit_code: None,
            container: None,
            spec_hash: Some("now".into()),
            restart_counter: 0,
        });
        self
    }

    /// Crashes of this slot, the newest made one second ago.
    fn crashes(self, slot: i64, count: i64) -> Self {
        (0..count).fold(self, |case, age| case.task(slot, TaskState::Failed, 1 + 10 * age))
    }

    /// Slowed down to one replica, to be tried again so many seconds ago.
    fn slowed(mut self, round: i16, resumed: i64) -> Self {
        self.before = Some(CrashLoop {
            app_id: AppId::new(),
            organization_id: OrganizationId::new(),
            deployment_id: DeploymentId::new(),
            rounds: round,
            kept: 1,
            resumes_at: self.now - TimeDelta::seconds(resumed),
            recovered_at: None,
            cause: "it exited".into(),
        });
        self
    }

    fn replicas(mut self, replicas: i32) -> Self {
        self.service.replicas = replicas;
        self
    }

    fn recovered(mut self, seconds: i64) -> Self {
        let recovered = self.now - TimeDelta::seconds(seconds);
        self.before.as_mut().unwrap().recovered_at = Some(recovered);
        self
    }

    fn pace(&self) -> Pace<'_> {
        let seen = Seen {
            now: self.now,
            service: &self.service,
            tasks: &self.tasks,
            desired: self.desired,
            window: TimeDelta::seconds(5),
        };
        pace(&seen, self.before.as_ref())
    }

    /// What it is slowed down to, and in which round.
    fn slows(&self) -> Option<(i32, i16)> {
        match self.pace() {
            Pace::Slow { kept, round, .. } => Some((kept, round)),
            _ => None,
        }
    }
}

#[test]
fn three_ends_of_one_slot_slow_the_app_down_to_what_runs() {
    let well = |case: Case| case.task(1, TaskState::Running, 60);
    assert_eq!(well(Case::new()).crashes(2, 2).pace(), Pace::Steady);
    assert_eq!(well(Case::new()).crashes(2, 3).slows(), Some((1, 1)));
    assert_eq!(Case::new().crashes(1, 3).crashes(2, 3).slows(), Some((0, 1)));
}

#[test]
fn ends_of_two_slots_of_another_spec_or_of_long_ago_are_no_crash_loop() {
    assert_eq!(Case::new().crashes(1, 2).crashes(2, 2).pace(), Pace::Steady);
    let mut old = Case::new().crashes(1, 3);
    old.tasks.iter_mut().for_each(|task| task.spec_hash = Some("before".into()));
    assert_eq!(old.pace(), Pace::Steady);
    let mut late = Case::new().crashes(1, 3);
    late.now += TimeDelta::minutes(11);
    assert_eq!(late.pace(), Pace::Steady);
}

#[test]
fn a_replica_that_runs_through_the_window_is_believed() {
    let young = Case::new().crashes(2, 3).task(2, TaskState::Running, 4);
    // Swarm would take another one in its place.
    assert!(matches!(young.pace(), Pace::Crashing { .. }));
    let old = Case::new().crashes(2, 3).task(2, TaskState::Running, 5);
    assert_eq!(old.pace(), Pace::Steady);
}

#[test]
fn it_is_held_until_its_time_then_tried_then_believed() {
    let slowed = |seconds| Case::new().slowed(1, seconds).task(1, TaskState::Running, 60);
    assert_eq!(slowed(-1).replicas(1).pace(), Pace::Hold);
    assert_eq!(slowed(0).replicas(1).pace(), Pace::Resume);
    assert_eq!(slowed(3).task(2, TaskState::Starting, 2).pace(), Pace::Trial);
    assert_eq!(slowed(7).task(2, TaskState::Running, 4).pace(), Pace::Trial);
    assert_eq!(slowed(8).task(2, TaskState::Running, 6).pace(), Pace::Recovered);
}

#[test]
fn one_more_end_is_the_next_round() {
    let tried = |case: Case| case.task(1, TaskState::Running, 60).task(2, TaskState::Failed, 3);
    assert_eq!(tried(Case::new().slowed(1, 5)).slows(), Some((1, 2)));
    // What ended before it was tried again is told already.
    assert_eq!(tried(Case::new().slowed(1, 2)).pace(), Pace::Trial);
    assert_eq!(tried(Case::new().slowed(4, 60).recovered(30)).slows(), Some((1, 5)));
}

#[test]
fn a_recovery_is_forgotten_after_a_while() {
    let well = |case: Case| case.task(1, TaskState::Running, 900).task(2, TaskState::Running, 900);
    assert_eq!(well(Case::new().slowed(1, 700).recovered(500)).pace(), Pace::Steady);
    assert_eq!(well(Case::new().slowed(1, 900).recovered(601)).pace(), Pace::Forget);
}

#[test]
fn kept_replicas_that_keep_ending_slow_it_further() {
    let held = |case: Case| case.slowed(1, -10).replicas(1);
    let kept = |ends| held(Case::new().crashes(1, ends).task(1, TaskState::Starting, 0));
    assert_eq!(kept(2).pace(), Pace::Hold);
    assert_eq!(kept(3).slows(), Some((0, 2)));
    // What was slowed down already is not counted again: neither once it is gone, nor before.
    let others = || Case::new().task(1, TaskState::Running, 60).crashes(2, 3);
    assert_eq!(held(others()).pace(), Pace::Hold);
    assert_eq!(held(others().task(2, TaskState::Starting, 0)).pace(), Pace::Hold);
    assert_eq!(others().task(2, TaskState::Starting, 0).slowed(1, -10).pace(), Pace::Hold);
}

#[test]
fn an_app_without_replicas_is_in_no_crash_loop() {
    let mut none = Case::new().crashes(1, 3).replicas(0);
    none.desired = 0;
    assert_eq!(none.pace(), Pace::Steady);
    assert_eq!(none.slowed(1, -10).pace(), Pace::Forget);
}

#[test]
fn an_end_is_remembered_for_a_while() {
    let mut ended = Case::new().crashes(1, 1).task(1, TaskState::Running, 0);
    assert!(ended_lately(&ended.tasks, ended.now));
    ended.now += TimeDelta::minutes(11);
    assert!(!ended_lately(&ended.tasks, ended.now));
    let updated = Case::new().task(1, TaskState::Shutdown, 5).task(1, TaskState::Running, 1);
    assert!(!ended_lately(&updated.tasks, updated.now));
}
