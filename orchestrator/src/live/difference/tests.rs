use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use model::id::{AppId, OrganizationId, ReleaseId};

use super::*;
use crate::swarm::UpdateStatus;

/// The environment as Docker told it at the verdict, and one that somebody else has added to.
const ENV: [&str; 2] = ["0f", "f0"];

/// The app's row, as it could have been read: two replicas of v3 at version 7.
fn app(release: ReleaseId) -> LiveApp {
    LiveApp {
        service_name: "web-1".into(),
        release_id: Some(release),
        release: Some(3),
        image: Some("demo:v3".into()),
        replicas: Some(2),
        version: Some(7),
        fingerprint: Some(Stored(service(release, 7).fingerprint())),
        id: AppId::new(),
        organization_id: OrganizationId::new(),
        removed: false,
        window_seconds: Some(5),
        restarts: true,
        restart_counter: 0,
        unfinished: false,
        newest: Some(Status::Succeeded),
        crashing: None,
        rounds: None,
        kept: None,
        resumes_at: None,
        recovered_at: None,
        cause: None,
    }
}

fn service(release: ReleaseId, version: u64) -> Service {
    Service {
        id: "service".into(),
        version,
        labels: BTreeMap::from([(names::LABEL_RELEASE.to_owned(), release.to_string())]),
        replicas: 2,
        image: Some("demo:v3".into()),
        spec_hash: None,
        restart_counter: 0,
        pauses_on_failure: false,
        networks: Vec::new(),
        virtual_address: None,
        parts: parts(ENV[0]),
        update: None,
    }
}

fn parts(env: &str) -> BTreeMap<String, String> {
    let parts = [("Labels", "1a"), ("TaskTemplate.ContainerSpec.Env", env)];
    parts.into_iter().map(|(part, hash)| (part.to_owned(), hash.to_owned())).collect()
}

fn updated(state: UpdateState, seconds: i64) -> Option<UpdateStatus> {
    let started_at = DateTime::<Utc>::from_timestamp(seconds, 0);
    Some(UpdateStatus { state, message: String::new(), started_at })
}

fn sentence(difference: Difference) -> String {
    match difference {
        Difference::Drift(_, sentence) | Difference::Adopt(Some(sentence)) => sentence,
        other => format!("{other:?}"),
    }
}

#[test]
fn the_version_of_the_verdict_is_no_difference() {
    let release = ReleaseId::new();
    let app = app(release);
    assert_eq!(difference(&app, Some(&service(release, 7)), &[2]), Difference::None);
}

#[test]
fn what_is_under_way_removed_stuck_or_was_never_live_is_left_alone() {
    let release = ReleaseId::new();
    let cases: [fn(&mut LiveApp); 4] = [
        |app| app.unfinished = true,
        |app| app.removed = true,
        |app| app.newest = Some(Status::Stuck),
        |app| (app.release, app.release_id) = (None, None),
    ];
    for change in cases {
        let mut app = app(release);
        change(&mut app);
        assert_eq!(difference(&app, None, &[2]), Difference::None, "{app:?}");
        assert_eq!(difference(&app, Some(&service(release, 8)), &[2]), Difference::None, "{app:?}");
    }
}

#[test]
fn a_missing_service_is_told() {
    let told = difference(&app(ReleaseId::new()), None, &[2]);
    assert!(matches!(told, Difference::Drift(DriftKind::Missing, _)), "{told:?}");
}

#[test]
fn what_somebody_changed_is_named() {
    let release = ReleaseId::new();
    let app = app(release);
    let told = |change: &dyn Fn(&mut Service)| {
        let mut service = service(release, 8);
        change(&mut service);
        sentence(difference(&app, Some(&service), &[2]))
    };
    assert!(told(&|service| service.replicas = 5).contains("5 replicas and not 2"));
    assert!(told(&|service| service.image = Some("evil".into())).contains("evil and not demo:v3"));
    assert!(told(&|service| service.labels.clear()).contains("of nobody and not v3"));
    assert!(told(&|service| service.restart_counter = 1).contains("by force"));
    let added = told(&|service| service.parts = parts(ENV[1]));
    assert_eq!(added, "somebody else changed the service web-1: its environment variables");
    let placed = told(&|service| {
        service.parts.insert("TaskTemplate.Placement".into(), "2b".into());
        service.parts.remove("Labels");
    });
    assert!(placed.ends_with(": its labels, its placement"), "{placed}");
    let new = "TaskTemplate.ContainerSpec.Ulimits";
    let told = told(&|service| drop(service.parts.insert(new.into(), "3c".into())));
    assert!(told.ends_with(": its Ulimits"), "{told}");
}

#[test]
fn what_swarm_writes_by_itself_is_adopted() {
    let release = ReleaseId::new();
    let bumped = service(release, 8);
    assert_eq!(difference(&app(release), Some(&bumped), &[2]), Difference::Adopt(None));
    // The same when the verdict came after an update of the tasks, and when it did not wait for its end:
    // a repair that failed while Swarm still tried.
    for at_verdict in [UpdateState::Completed, UpdateState::Updating] {
        for state in [
            UpdateState::Updating,
            UpdateState::Completed,
            UpdateState::Paused,
            UpdateState::RollbackPaused,
            UpdateState::RollbackCompleted,
        ] {
            let left = Service { update: updated(at_verdict, 100), ..service(release, 7) };
            let app = LiveApp { fingerprint: Some(Stored(left.fingerprint())), ..app(release) };
            let ended = Service { update: updated(state, 100), ..bumped.clone() };
            let told = difference(&app, Some(&ended), &[2]);
            assert_eq!(told, Difference::Adopt(None), "{at_verdict:?} {state:?}");
            // An update of the service that changes no task forgets the status.
            let told = difference(&app, Some(&bumped), &[2]);
            assert_eq!(told, Difference::Adopt(None), "{at_verdict:?}");
        }
    }
}

#[test]
fn what_a_worker_wrote_before_it_died_is_adopted() {
    // Slowed down, and not said so: another number of replicas, and nothing else.
    let release = ReleaseId::new();
    let slowed = Service { replicas: 1, ..service(release, 8) };
    assert_eq!(difference(&app(release), Some(&slowed), &[2, 1]), Difference::Adopt(None));
}

#[test]
fn an_update_of_tasks_that_shows_nothing_else_is_told() {
    let release = ReleaseId::new();
    let first = service(release, 7);
    let later = Service { update: updated(UpdateState::Completed, 100), ..service(release, 7) };
    for left in [first, later] {
        let app = LiveApp { fingerprint: Some(Stored(left.fingerprint())), ..app(release) };
        for state in [UpdateState::Updating, UpdateState::Completed, UpdateState::Paused] {
            let mut service = service(release, 8);
            service.update = updated(state, 200);
            let told = sentence(difference(&app, Some(&service), &[2]));
            assert!(told.contains("its health check perhaps"), "{state:?}: {told}");
        }
    }
}

#[test]
fn what_was_taken_back_is_adopted_and_told() {
    let release = ReleaseId::new();
    let app = app(release);
    let back = |state| {
        let mut service = service(release, 9);
        service.update = updated(state, 200);
        difference(&app, Some(&service), &[2])
    };
    assert_eq!(back(UpdateState::RollbackStarted), Difference::Wait);
    assert!(sentence(back(UpdateState::RollbackCompleted)).contains("taken back"));
}

#[test]
fn a_version_that_was_never_written_down_is_adopted() {
    let release = ReleaseId::new();
    let unversioned = LiveApp { version: None, fingerprint: None, ..app(release) };
    let same = service(release, 9);
    assert_eq!(difference(&unversioned, Some(&same), &[2]), Difference::Adopt(None));
    let told = difference(&unversioned, Some(&Service { replicas: 1, ..same }), &[2]);
    assert!(matches!(told, Difference::Drift(DriftKind::Changed, _)), "{told:?}");
}

#[test]
fn where_no_fingerprint_was_written_down_it_is_adopted_and_filled_in() {
    // The verdict of an older version of Skep.
    let release = ReleaseId::new();
    let app = LiveApp { fingerprint: None, ..app(release) };
    for version in [7, 8] {
        let mut service = service(release, version);
        service.parts = parts(ENV[1]);
        service.update = updated(UpdateState::Completed, 200);
        assert_eq!(difference(&app, Some(&service), &[2]), Difference::Adopt(None), "{version}");
    }
}
