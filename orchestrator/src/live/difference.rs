//! The difference between a service and what its app's last verdict left. Pure.
//!
//! Swarm raises a service's version by itself, too: at another version, what is told of the service decides. Its release, image,
//! replicas and restart counter are compared as what they are; every other part of its spec by a hash of what Docker told of it at
//! the verdict; and what Docker's answer does not show us, the health check, by the time at which Swarm began to update its tasks.
//! A daemon or a bollard of another version may tell the same spec otherwise: then one repair too many sends what is there already.

use db::live::LiveApp;
use model::drift::DriftKind;
use model::names;
use model::status::Status;
use model::stored::Stored;

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
    let (before, now) =
        (app.fingerprint.as_ref().map(|Stored(before)| before), service.fingerprint());
    if app.version == Some(now.version) {
        return if before.is_some() { Difference::None } else { Difference::Adopt(None) };
    }
    let update = service.update.as_ref().map(|update| update.state);
    if update == Some(UpdateState::RollbackStarted) {
        return Difference::Wait;
    }
    let mut differences = visible(app, service, expected);
    differences.extend(before.into_iter().flat_map(|before| before.changed_parts(&now)).map(named));
    if !differences.is_empty() {
        let differences = differences.join(", ");
        let sentence = format!("somebody else changed the service {name}: {differences}");
        return Difference::Drift(DriftKind::Changed, sentence);
    }
    let updated_since = before.map(|before| before.is_before_the_update_of(&now));
    match (update, updated_since) {
        (Some(UpdateState::RollbackCompleted), Some(true) | None) => {
            Difference::Adopt(Some(format!(
                "the service {name} was changed by somebody else and taken back: v{release} is live"
            )))
        }
        (_, Some(true)) => Difference::Drift(
            DriftKind::Changed,
            format!(
                "the tasks of the service {name} were updated by somebody else; what was changed \
                 cannot be told, its health check perhaps"
            ),
        ),
        // We wrote it and died before we could say so; or an older version of Skep wrote nothing down; or
        // Swarm did: at the end of an update that the verdict did not wait for, or as a manager that begins
        // to lead, which writes each service that has an address.
        _ => Difference::Adopt(None),
    }
}

/// What differs and can be told as what it is.
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

/// Names a part of a spec without a word of what it says: that is a tenant's, or a secret.
fn named(part: &str) -> String {
    let words = match part {
        "Labels" => "labels",
        "Mode" => "mode",
        "UpdateConfig" => "update policy",
        "RollbackConfig" => "rollback policy",
        "EndpointSpec" => "endpoint mode or ports",
        "Networks" | "TaskTemplate.Networks" => "networks",
        "TaskTemplate.Placement" => "placement",
        "TaskTemplate.Resources.Limits" => "limits",
        "TaskTemplate.Resources.Reservations" => "reservations",
        "TaskTemplate.RestartPolicy" => "restart policy",
        "TaskTemplate.LogDriver" => "log driver",
        "TaskTemplate.ContainerSpec.Labels" => "container labels",
        "TaskTemplate.ContainerSpec.Command" => "command",
        "TaskTemplate.ContainerSpec.Args" => "arguments",
        "TaskTemplate.ContainerSpec.Env" => "environment variables",
        "TaskTemplate.ContainerSpec.User" => "user",
        "TaskTemplate.ContainerSpec.Mounts" => "mounts",
        "TaskTemplate.ContainerSpec.Secrets" => "secrets",
        "TaskTemplate.ContainerSpec.Configs" => "configs",
        "TaskTemplate.ContainerSpec.Privileges" => "privileges",
        "TaskTemplate.ContainerSpec.CapabilityAdd" => "added capabilities",
        "TaskTemplate.ContainerSpec.CapabilityDrop" => "dropped capabilities",
        // As Docker calls it.
        other => other.rsplit('.').next().unwrap_or(other),
    };
    format!("its {words}")
}

#[cfg(test)]
mod tests;
