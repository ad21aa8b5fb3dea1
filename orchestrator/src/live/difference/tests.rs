use std::collections::BTreeMap;

use model::id::{AppId, OrganizationId, ReleaseId};

use super::*;

/// The app's row, as it could have been read: two replicas of v3 at version 7.
fn app(release: ReleaseId) -> LiveApp {
    LiveApp {
        service_name: "web-1".into(),
        release_id: Some(release),
        release: Some(3),
        image: Some("demo:v3".into()),
        replicas: Some(2),
        version: Some(7),
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
        update: None,
    }
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
    // Nothing that we compare: Swarm may have written it.
    assert_eq!(difference(&app, Some(&service(release, 8)), &[2]), Difference::Adopt(None));
}

#[test]
fn what_was_taken_back_is_adopted_and_told() {
    let release = ReleaseId::new();
    let app = app(release);
    let back = |state| {
        let mut service = service(release, 9);
        service.update = Some((state, String::new()));
        difference(&app, Some(&service), &[2])
    };
    assert_eq!(back(UpdateState::RollbackStarted), Difference::Wait);
    assert!(sentence(back(UpdateState::RollbackCompleted)).contains("taken back"));
}

#[test]
fn a_version_that_was_never_written_down_is_adopted() {
    let release = ReleaseId::new();
    let unversioned = LiveApp { version: None, ..app(release) };
    let same = service(release, 9);
    assert_eq!(difference(&unversioned, Some(&same), &[2]), Difference::Adopt(None));
    let told = difference(&unversioned, Some(&Service { replicas: 1, ..same }), &[2]);
    assert!(matches!(told, Difference::Drift(DriftKind::Changed, _)), "{told:?}");
}
