//! Targets: which release, restart counter and number of replicas a service should carry. A
//! deployment has two: what it was asked for, and what it goes back to.

use db::ledger::Live;
use db::work::Work;
use model::names;
use model::release::Release;

use super::observation::Observation;
use crate::swarm::Service;

/// What a service should carry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target<'a> {
    pub(super) release: &'a Release,
    pub(super) restart_counter: i64,
    pub(super) replicas: i32,
}

impl<'a> Target<'a> {
    /// What the deployment was asked to make live; `None` for a removal.
    pub(super) fn wanted(work: &'a Work) -> Option<Self> {
        Some(Self {
            release: work.release.as_ref()?,
            restart_counter: work.deployment.restart_counter,
            replicas: work.deployment.replicas,
        })
    }

    /// What was live before, and is gone back to when the wanted release fails.
    pub(super) fn before(work: &'a Work) -> Option<Self> {
        // One with no replicas was never seen healthy, and needs not be to come back.
        let deserves =
            |release: &&Release| release.stable_at.is_some() || work.app.live_replicas == Some(0);
        let release = work.live.as_ref().filter(deserves)?;
        Some(Self {
            release,
            restart_counter: work.app.live_restart_counter,
            replicas: work.app.live_replicas.unwrap_or(work.deployment.replicas),
        })
    }

    /// Whether the live service is this one, whoever wrote it.
    pub(super) fn is_carried_by(&self, service: &Service) -> bool {
        service.label(names::LABEL_RELEASE) == Some(&*self.release.id.to_string())
            && service.restart_counter == self.restart_counter
            && service.replicas == self.replicas
    }

    /// How long every replica has to run before this is believed to be live.
    pub(super) fn window(&self) -> chrono::Duration {
        chrono::Duration::seconds(i64::from(self.release.spec.0.update_policy.monitor_seconds))
    }

    /// What the app's row says after this was found live.
    pub(super) fn live(&self, service: &Service) -> Live {
        Live {
            release: self.release.id,
            restart_counter: self.restart_counter,
            replicas: self.replicas,
            fingerprint: service.fingerprint(),
        }
    }
}

/// Whether a part of the service's spec is another than the last verdict left.
pub(super) fn has_other_parts(work: &Work, service: &Service) -> bool {
    let left = work.fingerprint.as_ref();
    left.is_some_and(|left| left.changed_parts(&service.fingerprint()).next().is_some())
}

/// Whether somebody else has changed the service since the last verdict, for all that can be told.
pub(super) fn is_altered(work: &Work, service: &Service) -> bool {
    let left = work.fingerprint.as_ref();
    has_other_parts(work, service)
        || left.is_some_and(|left| left.is_before_the_update_of(&service.fingerprint()))
}

/// Whether the service is as the last verdict left it, so that there is nothing to go back from.
pub(super) fn untouched(work: &Work, seen: &Observation<'_>) -> bool {
    match (&seen.service, Target::before(work)) {
        // Somebody took it away: what was live has to come back.
        (None, before) => before.is_none(),
        // One that is slowed down in a crash loop has fewer replicas: nobody but us wrote it.
        (Some(service), Some(before)) => {
            before.is_carried_by(service)
                || work.app.live_version == Some(service.version_for_the_record())
        }
        (Some(service), None) => service.replicas == 0 && seen.all_over(),
    }
}
