//! Transitions of a deployment that failed, with its cause and the evidence: back to what was live,
//! or to nowhere. Why is found out in `cause`; where to is the plan's.

use db::ledger::{Marks, Transition};
use db::work::Work;
use model::reason::{Reason, ReasonCode};
use model::status::Status;

use super::act::Actor;
use super::cause::{Subject, find_cause};
use super::evidence;
use super::observation::Observation;
use super::plan::Blame;
use super::target::Target;
use crate::swarm::{Service, Swarm};

/// It goes back to what was live before.
pub(super) async fn going_back<S: Swarm, L>(
    actor: &Actor<S, L>,
    work: &Work,
    seen: &Observation<'_>,
    blame: &Blame,
) -> Transition {
    let Some(release) = &work.release else {
        return unexplained(Status::RollingBack, seen, blame);
    };
    let subject = Subject { platform: &actor.platform, network: &work.network, release };
    let (reason, evidence) = find_cause(&actor.swarm, &subject, seen, blame).await;
    let goal = match Target::before(work) {
        Some(before) => format!("v{} comes back", before.release.number),
        None => "it is stopped: no release was stable before".into(),
    };
    Transition {
        to: Status::RollingBack,
        message: format!("{}; {goal}", reason.sentence),
        reason: Some(reason),
        marks: Marks { progressed: true, healthy: Some(false), ..Marks::default() },
        evidence: Some(evidence),
        live: None,
    }
}

/// A repair that fails leaves in place what should be live.
pub(super) async fn failing<S: Swarm, L>(
    actor: &Actor<S, L>,
    work: &Work,
    seen: &Observation<'_>,
    blame: &Blame,
) -> Transition {
    let (Some(release), Some(wanted)) = (&work.release, Target::wanted(work)) else {
        return unexplained(Status::Failed, seen, blame);
    };
    let subject = Subject { platform: &actor.platform, network: &work.network, release };
    let (cause, evidence) = find_cause(&actor.swarm, &subject, seen, blame).await;
    let sentence = format!("v{} does not run as it did: {}", release.number, cause.sentence);
    let in_place = |service: &&Service| seen.is_ours(service) && wanted.is_carried_by(service);
    Transition {
        to: Status::Failed,
        message: sentence.clone(),
        reason: Some(Reason::new(cause.code, sentence)),
        marks: Marks::default(),
        evidence: Some(evidence),
        live: seen.service.as_ref().filter(in_place).map(|service| wanted.live(service)),
    }
}

/// It could not go back, either.
pub(super) async fn giving_up<S: Swarm, L>(
    actor: &Actor<S, L>,
    work: &Work,
    seen: &Observation<'_>,
    blame: &Blame,
) -> Transition {
    let Some(release) = work.live.as_ref().or(work.release.as_ref()) else {
        return unexplained(Status::Stuck, seen, blame);
    };
    let subject = Subject { platform: &actor.platform, network: &work.network, release };
    let (cause, evidence) = find_cause(&actor.swarm, &subject, seen, blame).await;
    let first = seen.deployment.reason.as_deref().unwrap_or("the deployment failed");
    let sentence =
        format!("{first}; going back failed too: {}; an operator is needed", cause.sentence);
    Transition {
        to: Status::Stuck,
        message: sentence.clone(),
        reason: Some(Reason::new(cause.code, sentence)),
        marks: Marks::default(),
        evidence: Some(evidence),
        live: None,
    }
}

/// Removals have no release to explain by.
fn unexplained(to: Status, seen: &Observation<'_>, blame: &Blame) -> Transition {
    let sentence = format!("the app could not be removed: {blame:?}");
    Transition {
        to,
        message: sentence.clone(),
        reason: Some(Reason::new(ReasonCode::ProgressDeadline, sentence)),
        marks: Marks::default(),
        evidence: Some(evidence::of_look(seen)),
        live: None,
    }
}
