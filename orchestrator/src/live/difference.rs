//! The difference between a service and what its app's last verdict left. Pure.

use db::live::LiveApp;
use model::drift::DriftKind;
use model::names;
use model::status::Status;

use crate::swarm::{Service, UpdateState};

/// How a service compares.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// It is as it should be, or it is not for us to say.
    None,
    /// Swarm is about to take something back: look again.
    Wait,
    /// It is as it should be, at a version that we did not write: from now on that is the one. With a
    /// sentence where somebody else has changed it meanwhile.
    Adopt(Option<String>),
    /// It is not as it should be.
    Drift(DriftKind, String),
}

/// Compares. `expected`: the numbers of replicas that it may have now.
pub(super) fn difference(app: &LiveApp, service: Option<&Service>, expected: &[i32]) -> Difference {
    let Some(release) = app.release.filter(|_| !app.removed && !app.unfinished) else {
        return Difference::None;
    };
    // An operator is asked for: nobody else takes a hand in it.
    if app.newest == Some(Status::Stuck) {
        return Difference::None;
    }
    let name = &app.service_name;
    let Some(service) = service else {
        let sentence =
            format!("the service {name} is gone from the swarm; v{release} should be live");
        return Difference::Drift(DriftKind::Missing, sentence);
    };
    if app.version == Some(service.version_for_the_record()) {
        return Difference::None;
    }
    let update = service.update.as_ref().map(|(state, _)| *state);
    if update == Some(UpdateState::RollbackStarted) {
        return Difference::Wait;
    }
    let differences = visible(app, service, expected);
    match (differences.is_empty(), update) {
        (true, Some(UpdateState::RollbackCompleted)) => Difference::Adopt(Some(format!(
            "the service {name} was changed by somebody else and taken back: v{release} is live"
        ))),
        // We wrote it and died before we could say so; or an older version of Skep wrote no version
        // down; or Swarm did: a manager that begins to lead writes each service that has an address.
        (true, _) => Difference::Adopt(None),
        (false, _) => Difference::Drift(
            DriftKind::Changed,
            format!("somebody else changed the service {name}: {}", differences.join(", ")),
        ),
    }
}

fn visible(app: &LiveApp, service: &Service, expected: &[i32]) -> Vec<String> {
    let mut differences = Vec::new();
    let release = app.release_id.map(|id| id.to_string());
    if service.label(names::LABEL_RELEASE) != release.as_deref() {
        differences.push(format!(
            "it carries the release {} and not v{}",
            service.label(names::LABEL_RELEASE).unwrap_or("of nobody"),
            app.release.unwrap_or_default()
        ));
    }
    if service.image != app.image {
        differences.push(format!(
            "its image is {} and not {}",
            service.image.as_deref().unwrap_or("none"),
            app.image.as_deref().unwrap_or("none")
        ));
    }
    if !expected.contains(&service.replicas) {
        let expected = expected.first().copied().unwrap_or_default();
        differences.push(format!("it has {} replicas and not {expected}", service.replicas));
    }
    if service.restart_counter != app.restart_counter {
        differences.push("its tasks were replaced by force".into());
    }
    differences
}

#[cfg(test)]
mod tests;
