//! The plan as a table: what is seen, and what comes next. Each case names the failure that the
//! rule prevents.

mod case;

use chrono::TimeDelta;
use db::ledger::Marks;
use db::work::Work;
use model::deployment::Kind;
use model::id::DeploymentId;
use model::reason::ReasonCode;
use model::status::Status;
use model::update_policy::UpdateOrder;

use self::case::{Case, REPLICAS};
use super::super::observation::{Memory, Stage};
use super::{Blame, Step};
use crate::swarm::{Service, TaskState, UpdateState};

#[test]
fn provisioning_resolves_the_image_and_applies() {
    let unresolved = |work: &mut Work| work.release.as_mut().unwrap().resolved_image = None;
    assert_eq!(Case::new(Status::Provisioning).with(unresolved).step(), Step::ResolveImage);
    let mut case = Case::new(Status::Provisioning).older(None).two_running("v1");
    assert_eq!(case.applies(), Some((2, REPLICAS)));
}

#[test]
fn a_spec_that_swarm_has_is_not_sent_again() {
    // Sending it again would reset UpdateStatus and destroy PreviousSpec.
    let mut case = Case::new(Status::Provisioning).ours(Some(UpdateState::Updating));
    assert_eq!(case.goes(), Some((Status::Updating, None, false)));
}

#[test]
fn an_unchanged_healthy_release_is_a_recorded_no_op() {
    let same = |work: &mut Work| {
        let live = work.live.clone().unwrap();
        let wanted = work.release.as_mut().unwrap();
        wanted.spec = live.spec;
        wanted.resolved_image = live.resolved_image;
    };
    let live = || Case::new(Status::Provisioning).with(same).older(Some(UpdateState::Completed));
    let mut case = live().two_running("v1");
    assert_eq!(case.goes(), Some((Status::Succeeded, Some(ReasonCode::Unchanged), true)));
    // Not when it is not healthy, nor when a restart was forced.
    assert_eq!(live().task(1, "v1", TaskState::Running).applies(), Some((2, REPLICAS)));
    // Nor when somebody else has added something to it: that would pass for ours.
    let mut meddled = live().two_running("v1");
    let left = meddled.service.as_ref().map(Service::fingerprint);
    meddled.work.fingerprint = left;
    assert_eq!(meddled.goes(), Some((Status::Succeeded, Some(ReasonCode::Unchanged), true)));
    meddled.service.as_mut().unwrap().parts.insert("Env".into(), "0f".into());
    assert_eq!(meddled.applies(), Some((2, REPLICAS)));
    let mut forced = live().two_running("v1").with(|work| work.deployment.restart_counter = 1);
    assert_eq!(forced.applies(), Some((2, REPLICAS)));
}

#[test]
fn replicas_of_the_old_spec_are_no_success() {
    // "Replicas at parity" is true on the old spec: the commonest false success of the peers.
    let mut case = Case::new(Status::Updating).ours(Some(UpdateState::Updating)).two_running("v1");
    assert!(matches!(case.step(), Step::Wait(_)));
    // Nor is an update that still has an old task to replace.
    let mut case = Case::new(Status::Updating)
        .ours(Some(UpdateState::Updating))
        .two_running("v2")
        .task(2, "v1", TaskState::Running);
    case.memory.most_running = 2;
    assert!(matches!(case.step(), Step::Wait(_)));
}

#[test]
fn a_new_healthy_replica_is_progress() {
    let mut case = Case::new(Status::Updating)
        .ours(Some(UpdateState::Updating))
        .task(1, "v2", TaskState::Running)
        .task(2, "v1", TaskState::Running);
    assert_eq!(case.step(), Step::Mark(Marks { progressed: true, ..Marks::default() }));
}

#[test]
fn every_replica_is_watched_through_the_window() {
    let mut case = Case::new(Status::Updating).ours(None).two_running("v2");
    assert_eq!(case.goes(), Some((Status::Verifying, None, false)));
    let watched = |seconds, update| {
        Case::new(Status::Verifying).ours(update).two_running("v2").healthy_for(seconds)
    };
    assert!(matches!(watched(4, None).step(), Step::Wait(_)));
    let live = Some((Status::Succeeded, Some(ReasonCode::Live), true));
    assert_eq!(watched(5, None).goes(), live);
    assert_eq!(watched(5, Some(UpdateState::Completed)).goes(), live);
    // Somebody went back twice: what is there is ours again.
    assert_eq!(watched(5, Some(UpdateState::RollbackCompleted)).goes(), live);
    // Swarm is not done: its own monitor may still take it back.
    assert!(matches!(watched(5, Some(UpdateState::Updating)).step(), Step::Wait(_)));
}

#[test]
fn no_replicas_are_in_place_when_the_last_one_has_ended() {
    let none = |work: &mut Work| work.deployment.replicas = 0;
    let mut case = Case::new(Status::Updating).with(none).ours(None).two_running("v2");
    case.scaled_to_zero();
    case.memory.most_running = 2;
    assert!(matches!(case.step(), Step::Wait(_)), "it drains");
    case.tasks.iter_mut().for_each(|task| task.state = TaskState::Shutdown);
    assert_eq!(case.goes(), Some((Status::Verifying, None, false)));
}

#[test]
fn a_replica_that_swarm_forgot_to_take_away_makes_it_count_again() {
    let mut case = Case::new(Status::RollingBack)
        .never_live()
        .ours(None)
        .task(1, "v2", TaskState::Failed)
        .task(1, "v2", TaskState::Ready);
    case.service.as_mut().unwrap().replicas = 0;
    case.tasks[1].desired = TaskState::Ready;
    assert_eq!(case.applies(), Some((2, 0)));
    case.work.deployment.applied_at = Some(case.now - TimeDelta::seconds(4));
    assert!(matches!(case.step(), Step::Wait(_)), "it was told a moment ago");
}

#[test]
fn a_replica_lost_in_the_window_begins_it_anew() {
    let mut case = Case::new(Status::Verifying)
        .ours(None)
        .task(1, "v2", TaskState::Running)
        .task(2, "v2", TaskState::Starting)
        .healthy_for(4);
    assert_eq!(case.goes(), Some((Status::Updating, None, false)));
}

#[test]
fn the_window_is_that_of_the_tasks_that_run() {
    // A replica that was replaced within the window has not run through it, and a successor of a
    // dead driver cannot know: it watches anew.
    let begun = Marks { healthy: Some(true), ..Marks::default() };
    let watched = || Case::new(Status::Verifying).ours(None).two_running("v2").healthy_for(60);
    let mut replaced = watched();
    replaced.tasks[0].id = "another".into();
    assert_eq!(replaced.step(), Step::Mark(begun));
    let mut successor = watched();
    successor.memory.watched = None;
    assert_eq!(successor.step(), Step::Mark(begun));
}

#[test]
fn a_window_longer_than_the_progress_deadline_is_watched_to_its_end() {
    let mut case = Case::new(Status::Verifying).ours(None).two_running("v2").healthy_for(3);
    case.work.deployment.progressed_at = Some(case.now - TimeDelta::seconds(10_000));
    assert!(matches!(case.step(), Step::Wait(_)));
}

#[test]
fn a_way_back_that_flaps_ends_with_an_operator() {
    let mut case = Case::new(Status::RollingBack)
        .older(Some(UpdateState::RollbackCompleted))
        .task(1, "v1", TaskState::Running)
        .task(2, "v1", TaskState::Starting);
    case.memory.most_running = 2;
    case.work.deployment.progressed_at = Some(case.now - TimeDelta::seconds(601));
    assert_eq!(case.step(), Step::GiveUp(Blame::NoProgress));
}

#[test]
fn swarms_own_rollback_is_seen_by_its_label() {
    // The spec was swapped back in the same transaction that set the status.
    for state in
        [UpdateState::RollbackStarted, UpdateState::RollbackCompleted, UpdateState::RollbackPaused]
    {
        for status in [Status::Updating, Status::Verifying] {
            let mut case = Case::new(status).older(Some(state)).two_running("v1").task(
                1,
                "v2",
                TaskState::Failed,
            );
            assert_eq!(case.step(), Step::GoBack(Blame::Task("task-2".into())));
        }
    }
    let mut by_hand =
        Case::new(Status::Updating).older(Some(UpdateState::RollbackStarted)).two_running("v1");
    assert!(matches!(by_hand.step(), Step::GoBack(Blame::TakenBack(_))));
}

#[test]
fn swarm_pausing_the_update_brings_the_old_release_back() {
    let mut case = Case::new(Status::Updating).ours(Some(UpdateState::Paused));
    assert!(matches!(case.step(), Step::GoBack(Blame::Paused(_))));
}

#[test]
fn a_first_deployment_that_keeps_failing_is_given_up() {
    // Swarm would start it again for ever, and never say that it failed.
    let failing = |times: usize| {
        (0..times).fold(Case::new(Status::Updating).never_live().ours(None), |case, _| {
            case.task(1, "v2", TaskState::Failed)
        })
    };
    assert!(matches!(failing(2).step(), Step::Wait(_)));
    assert!(matches!(failing(3).step(), Step::GoBack(Blame::Task(_))));
    // Failures of before are not ours.
    let mut old = failing(3);
    old.memory.before = Some(old.tasks.iter().map(|task| task.id.clone()).collect());
    assert!(matches!(old.step(), Step::Wait(_)));
}

#[test]
fn each_stage_has_its_deadline() {
    for (state, stage, seconds) in [
        (TaskState::New, Stage::Schedule, 120),
        (TaskState::Pending, Stage::Schedule, 120),
        (TaskState::Preparing, Stage::Pull, 300),
        (TaskState::Starting, Stage::Healthy, 60),
    ] {
        let mut case = Case::new(Status::Updating).ours(None).task(1, "v2", state);
        case.work.deployment.progressed_at = Some(case.now);
        let mut waits = |waited: i64| {
            let mut memory = Memory::default();
            memory.note(&case.tasks, case.now - TimeDelta::seconds(waited));
            case.memory = memory;
            matches!(case.step(), Step::GoBack(Blame::Overdue(_, late)) if late == stage)
        };
        assert!(!waits(seconds), "{state:?}");
        assert!(waits(seconds + 1), "{state:?}");
    }
}

#[test]
fn no_progress_for_too_long_ends_it() {
    let mut case = Case::new(Status::Updating).ours(None);
    case.work.deployment.progressed_at = Some(case.now - TimeDelta::seconds(601));
    assert_eq!(case.step(), Step::GoBack(Blame::NoProgress));
}

#[test]
fn a_newer_deployment_takes_over_at_once_and_nothing_is_rolled_back() {
    for status in Status::DRIVING {
        let newer = Some(DeploymentId::new());
        let mut case = Case::new(*status)
            .ours(Some(UpdateState::Updating))
            .with(|work| work.deployment.superseded_by = newer);
        let superseded = (Status::Superseded, Some(ReasonCode::NewerDeployment), false);
        assert_eq!(case.goes(), Some(superseded), "{status}");
    }
}

#[test]
fn what_others_change_is_set_back() {
    assert_eq!(Case::new(Status::Updating).applies(), Some((2, REPLICAS)));
    let mut scaled = Case::new(Status::Updating).ours(None);
    scaled.service.as_mut().unwrap().replicas = 5;
    assert_eq!(scaled.applies(), Some((2, REPLICAS)));
    let mut overwritten = Case::new(Status::Updating).older(Some(UpdateState::Completed));
    assert_eq!(overwritten.applies(), Some((2, REPLICAS)));
}

#[test]
fn going_back_applies_the_live_release_and_verifies_it() {
    let mut failed = Case::new(Status::RollingBack).ours(Some(UpdateState::Paused));
    assert_eq!(failed.applies(), Some((1, REPLICAS)));
    // Swarm was faster: nothing is applied, it is only watched.
    let back = |update| Case::new(Status::RollingBack).older(update).two_running("v1");
    let begun = Marks { progressed: true, healthy: Some(true), ..Marks::default() };
    assert_eq!(back(Some(UpdateState::RollbackStarted)).step(), Step::Mark(begun));
    let mut watched = back(Some(UpdateState::RollbackStarted)).healthy_for(9);
    assert!(matches!(watched.step(), Step::Wait(_)));
    let mut done = back(Some(UpdateState::RollbackCompleted)).healthy_for(5);
    assert_eq!(done.goes(), Some((Status::RolledBack, None, true)));
}

#[test]
fn going_back_does_not_take_what_somebody_else_had_changed_for_what_was_live() {
    let back = || Case::new(Status::RollingBack).older(Some(UpdateState::RollbackCompleted));
    let mut altered = back().two_running("v1").healthy_for(5);
    altered.work.fingerprint = altered.service.as_ref().map(Service::fingerprint);
    assert_eq!(altered.goes(), Some((Status::RolledBack, None, true)));
    altered.service.as_mut().unwrap().parts.insert("Env".into(), "0f".into());
    assert_eq!(altered.applies(), Some((1, REPLICAS)));
    // What we have written since has parts of its own.
    let mut ours = Case::new(Status::RollingBack).restored(None).two_running("v1").healthy_for(5);
    ours.work.fingerprint = altered.work.fingerprint.clone();
    ours.service.as_mut().unwrap().parts.insert("Labels".into(), "f0".into());
    assert_eq!(ours.goes(), Some((Status::RolledBack, None, true)));
}

#[test]
fn going_back_is_tried_once_by_us_and_then_needs_an_operator() {
    let mut swarms = Case::new(Status::RollingBack).older(Some(UpdateState::RollbackPaused));
    assert_eq!(swarms.applies(), Some((1, REPLICAS)));
    let paused = || Case::new(Status::RollingBack).restored(Some(UpdateState::Paused));
    let mut ours = paused().task(1, "v1", TaskState::Failed);
    assert!(matches!(ours.step(), Step::GiveUp(_)));
    // A lost node made Swarm stop, not the release.
    assert_eq!(paused().applies(), Some((1, REPLICAS)));
}

#[test]
fn the_way_back_has_the_deadline_of_where_it_goes_and_swarms_own_minute() {
    let restored = || Case::new(Status::RollingBack).restored(Some(UpdateState::Updating));
    let overdue = |mut back: Case, seconds, order| {
        back.work.deployment.progressed_at = Some(back.now - TimeDelta::seconds(seconds));
        let live = back.work.live.as_mut().unwrap();
        live.spec.0.deadlines.progress_seconds = 100;
        live.spec.0.update_policy.order = order;
        matches!(back.step(), Step::GiveUp(_))
    };
    assert!(!overdue(restored(), 99, UpdateOrder::StartFirst));
    assert!(overdue(restored(), 101, UpdateOrder::StartFirst));
    // Swarm may wait for a task that never got a node, before it starts the next one.
    assert!(!overdue(restored(), 159, UpdateOrder::StopFirst));
    assert!(overdue(restored(), 161, UpdateOrder::StopFirst));
    // Whatever the order, where a task was given up on its way: it stays NEW for ever.
    let given_up = || {
        let mut back = restored().task(1, "v2", TaskState::New);
        back.tasks.iter_mut().for_each(|task| task.desired = TaskState::Shutdown);
        back
    };
    assert!(!overdue(given_up(), 159, UpdateOrder::StartFirst));
    assert!(overdue(given_up(), 161, UpdateOrder::StartFirst));
}

#[test]
fn what_swarm_has_lost_count_of_is_sent_again() {
    let back = || Case::new(Status::RollingBack).restored(None).two_running("v1");
    assert!(matches!(back().step(), Step::Mark(_)), "it is all there");
    let mut twice = back().task(1, "v1", TaskState::Running);
    assert_eq!(twice.applies(), Some((1, REPLICAS)), "two tasks in one slot");
    let mut short = Case::new(Status::RollingBack).restored(None).task(1, "v1", TaskState::Running);
    assert_eq!(short.applies(), Some((1, REPLICAS)), "a slot without a task");
    // On the way in, Swarm could not roll back any more.
    let mut wanted = Case::new(Status::Updating).ours(None).task(1, "v2", TaskState::Running);
    assert_eq!(wanted.applies(), None);
}

#[test]
fn with_nothing_to_go_back_to_it_is_scaled_to_zero_and_failed() {
    let mut running = Case::new(Status::RollingBack).never_live().ours(None).two_running("v2");
    assert_eq!(running.applies(), Some((2, 0)));
    running.scaled_to_zero();
    assert!(matches!(running.step(), Step::Wait(_)));
    running.tasks.iter_mut().for_each(|task| task.state = TaskState::Shutdown);
    assert_eq!(running.goes(), Some((Status::Failed, None, false)));
}

#[test]
fn a_removal_ends_when_the_tasks_have() {
    let remove = |work: &mut Work| {
        work.deployment.kind = Kind::Remove;
        work.deployment.replicas = 0;
    };
    let mut case = Case::new(Status::Provisioning).with(remove).older(None).two_running("v1");
    assert_eq!(case.applies(), Some((2, 0)));
    case.scaled_to_zero();
    assert!(matches!(case.step(), Step::Wait(_)));
    case.tasks.iter_mut().for_each(|task| task.state = TaskState::Shutdown);
    assert!(matches!(case.step(), Step::Wait(_)), "Swarm is about to forget them");
    let mut kept = case.tasks.pop().unwrap();
    kept.desired = TaskState::Shutdown;
    case.tasks = vec![kept];
    assert_eq!(case.step(), Step::RemoveService);
    case.tasks.clear();
    assert_eq!(case.step(), Step::RemoveService);
    case.service = None;
    assert_eq!(case.goes(), Some((Status::Succeeded, Some(ReasonCode::Removed), false)));
}

#[test]
fn a_repair_applies_what_looks_the_same_and_goes_back_to_nothing() {
    let repair = |work: &mut Work| work.deployment.kind = Kind::Repair;
    let same = |work: &mut Work| {
        work.release = work.live.clone();
        work.deployment.kind = Kind::Repair;
    };
    let mut looks_well = Case::new(Status::Provisioning)
        .with(same)
        .older(Some(UpdateState::Completed))
        .two_running("v1");
    assert_eq!(looks_well.applies(), Some((1, REPLICAS)));
    let watched = || Case::new(Status::Verifying).with(repair).ours(None).two_running("v2");
    let repaired = Some((Status::Succeeded, Some(ReasonCode::Repaired), true));
    assert_eq!(watched().healthy_for(5).goes(), repaired);
    let mut failing = Case::new(Status::Updating).with(repair).ours(Some(UpdateState::Paused));
    assert!(matches!(failing.step(), Step::Fail(Blame::Paused(_))));
}
