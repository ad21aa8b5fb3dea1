//! Deployments followed to their verdict, and verdicts held against what the story expects.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::future::try_join_all;
use model::reason::ReasonCode;
use model::status::Status;

use crate::answers::Deployment;
use crate::narrator::Step;
use crate::tenant::Underway;

/// No deployment of the story takes longer; the platform's own deadlines would end it later.
const LONGEST: Duration = Duration::from_secs(300);

/// Follows deployments until all have ended. `aside` is said beside their statuses.
pub(crate) async fn follow(
    step: &mut Step,
    underway: &[Underway<'_>],
    aside: impl Fn() -> String,
) -> Result<Vec<Deployment>> {
    let started = Instant::now();
    loop {
        // A second of waiting on the other side; then the person here sees a sign of life.
        let looks = underway.iter().map(|one| async move {
            one.client.get::<Deployment>(&format!("{}?wait=1", one.path)).await
        });
        let seen = try_join_all(looks).await?;
        if seen.iter().all(|deployment| deployment.status.is_terminal()) {
            return Ok(seen);
        }
        let statuses: Vec<String> = underway
            .iter()
            .zip(&seen)
            .map(|(one, deployment)| format!("{} {}", one.of, deployment.status))
            .collect();
        let statuses = statuses.join(", ");
        if started.elapsed() > LONGEST {
            bail!("there is no verdict after {} s: {statuses}", LONGEST.as_secs());
        }
        step.wait(&statuses, &aside());
    }
}

/// Follows one deployment.
pub(crate) async fn follow_one(
    step: &mut Step,
    underway: Underway<'_>,
    aside: impl Fn() -> String,
) -> Result<Deployment> {
    let ended = follow(step, std::slice::from_ref(&underway), aside).await?;
    match <[Deployment; 1]>::try_from(ended) {
        Ok([deployment]) => Ok(deployment),
        Err(other) => bail!("one deployment was followed and {} came back", other.len()),
    }
}

/// Fails where a deployment ended in another way than the story goes.
pub(crate) fn expect(
    of: &str,
    deployment: &Deployment,
    status: Status,
    code: ReasonCode,
) -> Result<()> {
    let reason = deployment.reason.as_ref();
    if deployment.status == status && reason.map(|reason| reason.code) == Some(code) {
        return Ok(());
    }
    bail!(
        "the {} of {of} ({}) should have ended {status} with reason {code}, and ended {}: {}",
        deployment.kind,
        deployment.id,
        deployment.status,
        reason.map_or("no reason was given".to_owned(), |reason| {
            format!("{} ({})", reason.sentence, reason.code)
        })
    )
}

/// The sentence of a verdict.
pub(crate) fn sentence(deployment: &Deployment) -> &str {
    deployment.reason.as_ref().map_or("", |reason| reason.sentence.as_str())
}
