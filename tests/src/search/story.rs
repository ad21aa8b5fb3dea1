//! What happens in a story, and when: what tenants ask for, and what machines and people do to it.

use std::time::Duration;

use db::deployments::DeploymentRequest;
use model::release::RollbackTarget;

use super::cast::image;
use super::chance::Chance;

/// Something that happens from outside.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// A tenant asks for a deployment of the app of this index.
    Ask(usize, DeploymentRequest),
    /// A worker finds that somebody else changed the service of an app.
    Repair(usize),
    /// A tenant withdraws the newest deployment of an app.
    Cancel(usize),
    /// A worker is killed.
    Kill,
    /// A worker is asked to stop.
    Stop,
    /// A worker is started.
    Start,
    /// A worker stands still for so long.
    Freeze(Duration),
    /// The daemon does not answer for so long.
    SwarmDown(Duration),
    /// Swarm brings the previous spec of an app back.
    BringBack(usize),
    /// Somebody removes the service of an app.
    TakeAway(usize),
    /// A node is cut off for so long.
    LoseNode(Duration),
}

/// The happenings of a story of so many apps, in order, within this time.
pub(super) fn happenings(
    chance: &Chance,
    apps: usize,
    within: Duration,
) -> Vec<(Duration, Happening)> {
    let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let mut all: Vec<(Duration, Happening)> = (0..apps)
        .map(|app| {
            let first = DeploymentRequest::Deploy { image: None, force: false };
            (chance.millis(0..=500), Happening::Ask(app, first))
        })
        .collect();
    for _ in 0..chance.of(3..=14) {
        all.push((chance.millis(0..=millis), happening(chance, apps)));
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

fn happening(chance: &Chance, apps: usize) -> Happening {
    let app = usize::try_from(chance.of(0..=apps as u64 - 1)).unwrap_or_default();
    match chance.of(0..=99) {
        0..=51 => Happening::Ask(app, request(chance)),
        52..=54 => Happening::Repair(app),
        55..=65 => Happening::Cancel(app),
        66..=73 => Happening::Kill,
        74..=78 => Happening::Stop,
        79..=82 => Happening::Start,
        83..=87 => Happening::Freeze(chance.millis(1_000..=30_000)),
        88..=90 => Happening::SwarmDown(chance.millis(500..=20_000)),
        91..=94 => Happening::BringBack(app),
        95..=96 => Happening::TakeAway(app),
        _ => Happening::LoseNode(chance.millis(1_000..=40_000)),
    }
}

fn request(chance: &Chance) -> DeploymentRequest {
    let force = chance.in_thousand(150);
    match chance.of(0..=99) {
        0..=39 => DeploymentRequest::Deploy { image: Some(image(chance)), force },
        40..=49 => DeploymentRequest::Deploy { image: None, force },
        50..=57 => DeploymentRequest::Rollback { target: RollbackTarget::Previous, force },
        58..=60 => DeploymentRequest::Rollback { target: RollbackTarget::Stable, force },
        61..=64 => {
            let number = i32::try_from(chance.of(1..=4)).unwrap_or(1);
            DeploymentRequest::Rollback { target: RollbackTarget::Number(number), force }
        }
        65..=71 => DeploymentRequest::Restart,
        72..=83 => {
            DeploymentRequest::Scale { replicas: i32::try_from(chance.of(0..=4)).unwrap_or(1) }
        }
        84..=89 => DeploymentRequest::Stop { why: None },
        90..=95 => DeploymentRequest::Start,
        _ => DeploymentRequest::Remove,
    }
}
