use model::app_status::{AppStatus, Health};
use model::id::{HealthId, OrganizationId};
use model::stored::Stored;

use super::*;
use crate::swarm::Service;

/// Apps, each with a service of one replica that runs.
struct Case {
    now: DateTime<Utc>,
    memory: Memory,
    services: HashMap<AppId, ServiceCount>,
}

impl Case {
    /// So many apps, all of them looked at in this moment.
    fn new(apps: usize, watch: Watch) -> Self {
        let now = Utc::now();
        let mut case = Self { now, memory: Memory::default(), services: HashMap::new() };
        for _ in 0..apps {
            let id = AppId::new();
            case.services.insert(id, count());
            case.look_at(id, watch);
        }
        case
    }

    fn look_at(&mut self, id: AppId, watch: Watch) {
        let looked = Looked {
            status: Some(status(id, self.now)),
            short_since: None,
            is_settled: true,
            watch,
        };
        let known = Known::new(&row(id), self.services.get(&id), &looked, self.now);
        self.memory.apps.insert(id, known);
    }

    fn listed(&self) -> HashMap<AppId, &ServiceCount> {
        self.services.iter().map(|(id, service)| (*id, service)).collect()
    }

    /// How many are looked at after so many seconds, and how many confirmed; both are done.
    fn after(&mut self, seconds: i64) -> (usize, usize) {
        self.now += TimeDelta::seconds(seconds);
        let due = self.memory.due(&self.listed(), self.now);
        let unchanged = self.memory.unchanged(&self.listed(), self.now);
        self.memory.confirmed(&unchanged, self.now);
        for id in &due {
            self.look_at(*id, Watch::Loose);
        }
        (due.len(), unchanged.len())
    }
}

fn row(id: AppId) -> LiveApp {
    LiveApp {
        id,
        organization_id: OrganizationId::new(),
        service_name: "web".into(),
        removed: false,
        release_id: None,
        release: Some(1),
        image: None,
        window_seconds: Some(5),
        restarts: true,
        restart_counter: 0,
        replicas: Some(1),
        version: Some(1),
        fingerprint: None,
        unfinished: false,
        newest: None,
        crashing: None,
        rounds: None,
        kept: None,
        resumes_at: None,
        recovered_at: None,
        cause: None,
    }
}

fn count() -> ServiceCount {
    let service = Service {
        id: "service".into(),
        version: 1,
        labels: std::collections::BTreeMap::new(),
        replicas: 1,
        image: None,
        spec_hash: None,
        restart_counter: 0,
        pauses_on_failure: false,
        networks: Vec::new(),
        virtual_address: None,
        parts: std::collections::BTreeMap::new(),
        update: None,
    };
    ServiceCount { name: "web".into(), service, desired: 1, running: 1 }
}

fn status(app_id: AppId, now: DateTime<Utc>) -> AppStatus {
    AppStatus {
        app_id,
        organization_id: OrganizationId::new(),
        health: Health::Healthy,
        cause: None,
        release_id: None,
        desired: 1,
        running: 1,
        tasks: Stored(Vec::new()),
        since: now,
        observed_at: now,
        health_id: HealthId::new(),
        virtual_address: None,
    }
}

#[test]
fn an_idle_app_is_confirmed_each_minute_and_looked_at_seldom() {
    let mut case = Case::new(1, Watch::Loose);
    assert_eq!(case.after(59), (0, 0));
    assert_eq!(case.after(1), (0, 1));
    assert_eq!(case.after(10), (0, 0), "confirmed a moment ago");
    assert_eq!(case.after(50), (0, 1));
    assert_eq!(case.after(600), (1, 0));
}

#[test]
fn idle_apps_are_not_all_looked_at_in_one_moment() {
    let apps = 3000;
    let mut case = Case::new(apps, Watch::Loose);
    // Their ids are of one moment, as those of apps that one script has made.
    let looks: Vec<usize> = (0..60).map(|_| case.after(10).0).collect();
    let (early, late) = looks.split_at(29);
    assert_eq!(early.iter().sum::<usize>(), 0, "{looks:?}");
    assert!(late.iter().sum::<usize>() >= apps, "within ten minutes each: {looks:?}");
    assert!(late.iter().all(|count| *count < apps / 10), "{looks:?}");
}

#[test]
fn the_more_apps_the_more_seldom_each_is_looked_at() {
    let apps = 12_000;
    let mut case = Case::new(apps, Watch::Loose);
    let looks: Vec<usize> = (0..120).map(|_| case.after(10).0).collect();
    let (early, late) = looks.split_at(59);
    assert_eq!(early.iter().sum::<usize>(), 0, "{looks:?}");
    assert!(late.iter().sum::<usize>() >= apps, "within twenty minutes each: {looks:?}");
    assert!(late.iter().all(|count| *count < 300), "20 a second: {looks:?}");
}

#[test]
fn whatever_changes_is_looked_at_at_once() {
    let mut case = Case::new(1, Watch::Loose);
    case.services.values_mut().for_each(|service| service.running = 0);
    assert_eq!(case.after(1), (1, 0));
    assert_eq!(case.after(1), (0, 0));
    case.services.values_mut().for_each(|service| service.service.version = 2);
    assert_eq!(case.after(1), (1, 0));
    let gone: Vec<AppId> = case.services.drain().map(|(id, _)| id).collect();
    assert_eq!(case.memory.due(&case.listed(), case.now), gone.into_iter().collect());
}

#[test]
fn an_app_that_is_watched_is_looked_at_again_each_minute_or_each_time() {
    let mut close = Case::new(1, Watch::Close);
    assert_eq!(close.after(59), (0, 0));
    assert_eq!(close.after(1), (1, 0), "looked at, and not merely confirmed");
    assert_eq!(Case::new(1, Watch::Constant).after(1), (1, 0));
}

#[test]
fn apps_of_a_node_that_went_down_or_came_back_are_looked_at() {
    let mut case = Case::new(3, Watch::Loose);
    let (app, service) = case.services.iter_mut().next().unwrap();
    let app = *app;
    service.service.id = "there".into();
    case.look_at(app, Watch::Loose);
    assert_eq!(case.after(1), (0, 0));
    let lost = BTreeSet::from(["n3".to_owned()]);
    let there = BTreeSet::from(["there".to_owned(), "elsewhere".to_owned()]);
    let mut memory = std::mem::take(&mut case.memory);
    memory.node_is_lost("n3".into(), there, &case.listed());
    case.memory = memory;
    assert_eq!(case.after(1).0, 1);
    // One that stays away is no news; one that comes back is.
    for (lost, looked_at) in [(lost, 0), (BTreeSet::new(), 1), (BTreeSet::new(), 0)] {
        let mut memory = std::mem::take(&mut case.memory);
        memory.nodes_are_back(&lost, &case.listed());
        case.memory = memory;
        assert_eq!(case.after(1).0, looked_at, "{lost:?}");
    }
}
