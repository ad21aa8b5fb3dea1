//! Claims and leases: who is given what, and what the one who lost it can still do.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use db::ledger::{LEASE, Marks};
use futures::future::try_join_all;
use model::id::{DeploymentId, WorkerId};
use model::reason::ReasonCode;
use model::status::Status;
use orchestrator::Ledger;

use super::{Home, Stage, app, deploy, spec};
use crate::{Outcome, pretend};

/// More than any lease.
const LONG: Duration = Duration::from_secs(60);

/// Queues a deployment of each of these new apps.
async fn queue(
    stage: &impl Stage,
    home: Home,
    slugs: &[&str],
) -> anyhow::Result<Vec<DeploymentId>> {
    let mut ids = Vec::new();
    for slug in slugs {
        let app = stage.app_create(home, slug, spec("web:v1"), 1).await?;
        ids.push(stage.accept(app, &deploy()).await?);
    }
    Ok(ids)
}

/// A flood of one organization does not keep another one waiting; within one, the oldest is first.
pub async fn are_fair_and_oldest_first(stage: &impl Stage) -> Outcome {
    let (acme, globex) = (stage.organization("acme").await?, stage.organization("globex").await?);
    let flood = queue(stage, acme, &["a", "b", "c"]).await?;
    let late = queue(stage, globex, &["a", "b"]).await?;
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(pretend::claim(stage.ledger()).await?.deployment);
    }
    assert_eq!(order, [flood[0], late[0], flood[1], late[1], flood[2]]);
    assert_eq!(stage.ledger().claim_next(WorkerId::new()).await?, None);
    Ok(())
}

/// However many ask at once.
pub async fn never_give_the_same_deployment_twice(stage: &impl Stage) -> Outcome {
    let acme = stage.organization("acme").await?;
    let queued = queue(stage, acme, &["a", "b", "c", "d", "e", "f"]).await?;
    let asked = (0..12).map(|_| stage.ledger().claim_next(WorkerId::new()));
    let mut claims: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
    // A claim that lost a race comes back empty; the next look finds what is left.
    while let Some(claim) = stage.ledger().claim_next(WorkerId::new()).await? {
        claims.push(claim);
    }
    let ids: BTreeSet<_> = claims.iter().map(|claim| claim.deployment).collect();
    let fences: BTreeSet<_> = claims.iter().map(|claim| claim.fence).collect();
    assert_eq!(ids, queued.into_iter().collect());
    assert_eq!((claims.len(), fences.len()), (6, 6));
    Ok(())
}

/// What a claim writes on the row.
pub async fn begin_a_deployment(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let id = stage.accept(app, &deploy()).await?;
    let worker = WorkerId::new();
    let claim = stage.ledger().claim_next(worker).await?.context("nothing to claim")?;
    assert_eq!(claim.deployment, id);
    let (row, now) = stage.ledger().read(claim).await?.context("not ours")?;
    assert_eq!(
        (row.status, row.fence, row.lease_owner),
        (Status::Provisioning, claim.fence, Some(worker))
    );
    assert_eq!(row.started_at, row.progressed_at);
    assert!(row.started_at.is_some_and(|started| started <= now));
    let left = (row.lease_expires_at.context("no lease")? - now).to_std()?;
    assert!(left <= LEASE && left > LEASE / 2, "{left:?}");
    assert_eq!((row.applied_at, row.healthy_since, row.finished_at), (None, None, None));
    let told = ["queued: accepted", "provisioning: taken up by a worker"];
    assert_eq!(stage.timeline(app, id).await?, told);
    Ok(())
}

/// Before everything that is queued, whoever it belongs to; the longest abandoned first.
pub async fn take_what_was_abandoned_first(stage: &impl Stage) -> Outcome {
    let (acme, globex) = (stage.organization("acme").await?, stage.organization("globex").await?);
    queue(stage, acme, &["a", "b"]).await?;
    let first = pretend::claim(stage.ledger()).await?;
    stage.pass(Duration::from_secs(2)).await?;
    let second = pretend::claim(stage.ledger()).await?;
    let waiting = queue(stage, globex, &["a"]).await?;
    // Renewed, it is abandoned later than the one that was claimed after it.
    stage.pass(Duration::from_secs(1)).await?;
    assert!(stage.ledger().renew(first).await?);
    stage.pass(LONG).await?;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(pretend::claim(stage.ledger()).await?.deployment);
    }
    assert_eq!(order, [second.deployment, first.deployment, waiting[0]]);
    Ok(())
}

/// A deployment that is taken over goes on from the status that it was in.
pub async fn take_over_where_the_other_stopped(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    let id = stage.accept(app, &deploy()).await?;
    let (old, work) = pretend::update(stage.ledger()).await?;
    let before = stage.deployment(app, id).await?;
    stage.pass(LONG).await?;
    let new = pretend::claim(stage.ledger()).await?;
    assert_eq!(new.deployment, old.deployment);
    let after = stage.deployment(app, id).await?;
    assert_eq!((after.status, after.started_at), (Status::Updating, before.started_at));
    assert_eq!(after.progressed_at, before.progressed_at, "no second try for its deadline");
    assert_eq!(stage.timeline(app, id).await?.len(), 3, "its timeline does not begin again");
    let live = work.release.context("no release")?;
    assert_eq!(stage.ledger().work(id).await?.release.map(|release| release.id), Some(live.id));
    Ok(())
}

/// Whoever was taken over reads and writes nothing any more.
pub async fn fence_the_old_one_off(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    let (old, _) = pretend::update(stage.ledger()).await?;
    stage.pass(LONG).await?;
    let new = pretend::claim(stage.ledger()).await?;
    assert!(new.fence > old.fence);
    let before = stage.everything(app).await?;

    let ledger = stage.ledger();
    assert!(ledger.read(old).await?.is_none());
    assert!(!ledger.renew(old).await?);
    assert!(!ledger.mark(old, Marks { progressed: true, ..Marks::default() }).await?);
    let step = pretend::transition(Status::Verifying, None);
    assert!(!ledger.transition(old, Status::Updating, &step).await?);
    let end = pretend::transition(Status::Failed, Some(ReasonCode::ImageNotFound));
    assert!(!ledger.transition(old, Status::Updating, &end).await?);

    assert_eq!(stage.everything(app).await?, before, "nothing was written");
    assert!(ledger.read(new).await?.is_some());
    pretend::go(ledger, new, Status::Updating, end).await
}

/// A lease that ran out is its holder's until somebody takes it.
pub async fn are_renewed_until_they_are_taken(stage: &impl Stage) -> Outcome {
    let app = app(stage).await?;
    stage.accept(app, &deploy()).await?;
    let claim = pretend::claim(stage.ledger()).await?;
    for _ in 0..3 {
        stage.pass(LEASE * 3 / 4).await?;
        assert_eq!(stage.ledger().claim_next(WorkerId::new()).await?, None, "the lease holds");
        assert!(stage.ledger().renew(claim).await?);
    }
    stage.pass(LONG).await?;
    assert!(stage.ledger().renew(claim).await?, "late, and nobody was faster");
    assert_eq!(stage.ledger().claim_next(WorkerId::new()).await?, None);
    stage.pass(LONG).await?;
    assert_eq!(pretend::claim(stage.ledger()).await?.deployment, claim.deployment);
    Ok(())
}

/// One driving deployment of an app: the next one waits, and other apps do not.
pub async fn leave_an_app_alone_that_is_driven(stage: &impl Stage) -> Outcome {
    let acme = stage.organization("acme").await?;
    let web = stage.app_create(acme, "web", spec("web:v1"), 1).await?;
    stage.accept(web, &deploy()).await?;
    let (claim, _) = pretend::update(stage.ledger()).await?;
    let next = stage.accept(web, &deploy()).await?;
    assert_eq!(stage.ledger().claim_next(WorkerId::new()).await?, None);
    let other = queue(stage, acme, &["api"]).await?;
    assert_eq!(pretend::claim(stage.ledger()).await?.deployment, other[0], "younger, and free");
    let end = pretend::transition(Status::Superseded, Some(ReasonCode::NewerDeployment));
    pretend::go(stage.ledger(), claim, Status::Updating, end).await?;
    assert_eq!(pretend::claim(stage.ledger()).await?.deployment, next);
    Ok(())
}

/// What a graceful stop does: its own leases, at once, with a wake-up for each.
pub async fn are_handed_over(stage: &impl Stage) -> Outcome {
    let acme = stage.organization("acme").await?;
    queue(stage, acme, &["a", "b", "c"]).await?;
    let leaving = WorkerId::new();
    let first = stage.ledger().claim_next(leaving).await?.context("nothing to claim")?;
    let other = pretend::claim(stage.ledger()).await?;
    let ended = stage.ledger().claim_next(leaving).await?.context("nothing to claim")?;
    let end = pretend::transition(Status::Failed, Some(ReasonCode::ImageNotFound));
    pretend::go(stage.ledger(), ended, Status::Provisioning, end).await?;
    stage.wakeups().await?;
    assert_eq!(stage.ledger().hand_over(leaving).await?, 1, "its own, and nobody else's");
    assert_eq!(stage.wakeups().await?, [first.deployment]);
    assert!(stage.ledger().read(first).await?.is_some(), "it is still its own");
    let taken = pretend::claim(stage.ledger()).await?;
    assert_eq!(taken.deployment, first.deployment);
    assert!(taken.fence > other.fence);
    assert_eq!(stage.ledger().hand_over(leaving).await?, 0);
    assert_eq!(stage.ledger().hand_over(WorkerId::new()).await?, 0);
    Ok(())
}

/// Leases that end in the same moment: the older deployment first, whichever was written last.
pub async fn take_the_older_of_two_that_end_together(stage: &impl Stage) -> Outcome {
    let acme = stage.organization("acme").await?;
    let queued = queue(stage, acme, &["a", "b"]).await?;
    let leaving = WorkerId::new();
    let first = stage.ledger().claim_next(leaving).await?.context("nothing to claim")?;
    stage.ledger().claim_next(leaving).await?.context("nothing to claim")?;
    assert!(stage.ledger().renew(first).await?);
    assert_eq!(stage.ledger().hand_over(leaving).await?, 2);
    let mut order = Vec::new();
    for _ in 0..2 {
        order.push(pretend::claim(stage.ledger()).await?.deployment);
    }
    assert_eq!(order, queued);
    Ok(())
}
