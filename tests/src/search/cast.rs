//! Who is in a story: organizations with apps, and the images that they deploy, good and bad.

use std::time::Duration;

use model::drift::OnDrift;
use model::health_check::{HealthCheck, HealthTest};
use model::id::AppId;
use model::platform::{Encryption, Platform};
use model::spec::{AppSpec, EndpointMode, RestartCondition, RestartPolicy};
use model::update_policy::{Deadlines, FailureAction, UpdateOrder, UpdatePolicy};
use orchestrator::swarm::ImageLookup;
use sha2::{Digest, Sha256};

use super::chance::Chance;
use super::story_ledger::StoryLedger;
use crate::twin::swarm::{Behaviour, End, SimulatedSwarm};

/// Images that work.
pub(super) const GOOD: [&str; 4] = [
    "registry.test/web:v1",
    "registry.test/web:v2",
    "registry.test/web:slow",
    "registry.test/web:quick",
];
/// Healthy through any window, and not for long after it.
const LATE_CRASH: &str = "registry.test/web:late-crash";
/// Images that do not.
const BAD: [&str; 9] = [
    "registry.test/web:unhealthy",
    "registry.test/web:unhealthy-and-drains",
    "registry.test/web:crash",
    LATE_CRASH,
    "registry.test/web:hungry",
    "registry.test/web:missing",
    "registry.test/web:never-pulled",
    "registry.test/web:never-scheduled",
    "registry.test/web:unknown",
];

/// The installation that a story is told of.
pub(super) fn platform() -> Platform {
    Platform {
        name: "search".into(),
        endpoint_mode: EndpointMode::Vip,
        local_images: false,
        cpu_reservation_ratio: 0.1,
        memory_reservation_ratio: 0.5,
        tenants_on_managers: false,
        network_mtu: None,
        deadline_schedule_seconds: 10,
        deadline_pull_seconds: 30,
        deadline_healthy_seconds: 20,
        deadline_progress_seconds: 60,
        on_drift: OnDrift::Repair,
        on_disk_full: model::disk::OnDiskFull::Warn,
        encryption: Encryption::On,
    }
}

/// The apps of a story.
pub(super) fn enter(
    ledger: &impl StoryLedger,
    swarm: &SimulatedSwarm,
    chance: &Chance,
) -> Vec<AppId> {
    images(swarm);
    let mut apps = Vec::new();
    for _ in 0..chance.of(1..=2) {
        let home = ledger.home();
        for slug in ["web", "worker"].iter().take(usize::try_from(chance.of(1..=2)).unwrap_or(1)) {
            let replicas = i32::try_from(chance.of(0..=3)).unwrap_or_default();
            if let Ok(app) = ledger.app_create(home, slug, spec(chance), replicas) {
                apps.push(app);
            }
        }
    }
    apps
}

/// An image to deploy: good more often than not.
pub(super) fn image(chance: &Chance) -> String {
    if chance.in_thousand(620) { chance.pick(&GOOD) } else { chance.pick(&BAD) }.to_owned()
}

fn images(swarm: &SimulatedSwarm) {
    let seconds = Duration::from_secs;
    let healthy = |millis| Behaviour::healthy(Duration::from_millis(millis));
    let behaviours = [
        (GOOD[0], healthy(800)),
        (GOOD[1], healthy(1500)),
        (GOOD[2], healthy(7000)),
        (GOOD[3], healthy(50)),
        (BAD[0], Behaviour::unhealthy(seconds(6))),
        (
            BAD[1],
            Behaviour {
                ends: Some((seconds(6), End::Unhealthy(0))),
                ..Behaviour::unhealthy(seconds(6))
            },
        ),
        (BAD[2], Behaviour::crashes(seconds(1), 7)),
        (BAD[3], Behaviour::crashes(seconds(9), 1)),
        (BAD[4], Behaviour::out_of_memory(seconds(3))),
        (BAD[5], Behaviour::missing()),
        (BAD[6], Behaviour::never_pulled()),
        (BAD[7], Behaviour::never_scheduled()),
    ];
    for (reference, behaviour) in behaviours {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(reference)));
        swarm.register(reference, ImageLookup::Digest(digest.clone()));
        swarm.behave(&format!("registry.test/web@{digest}"), [behaviour]);
    }
    swarm.register(BAD[8], ImageLookup::NotFound);
}

fn spec(chance: &Chance) -> AppSpec {
    let policy = UpdatePolicy {
        order: chance.pick(&[
            UpdateOrder::StartFirst,
            UpdateOrder::StartFirst,
            UpdateOrder::StopFirst,
        ]),
        failure_action: chance.pick(&[
            FailureAction::Rollback,
            FailureAction::Rollback,
            FailureAction::Pause,
        ]),
        parallelism: chance.pick(&[1, 1, 2]),
        ..UpdatePolicy::FAST
    };
    let check = HealthCheck {
        test: HealthTest::Tcp { port: 8080 },
        interval_seconds: 1,
        timeout_seconds: 1,
        retries: 3,
        start_period_seconds: 0,
        port_of_app: false,
    };
    AppSpec {
        update_policy: policy,
        health_check: chance.in_thousand(850).then_some(check),
        // The platform's.
        deadlines: Deadlines::default(),
        restart: RestartPolicy { condition: RestartCondition::Any, delay_seconds: 1 },
        ..AppSpec::of_image(image(chance))
    }
}
