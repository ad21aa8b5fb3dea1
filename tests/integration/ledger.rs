//! The ledger: who drives which deployment. Compare-and-set, by Postgres's clock and fences.

use std::collections::BTreeSet;

use db::ledger::{
    Marks, deployment_claim_next, ledger_hand_over, ledger_mark, ledger_read, ledger_renew,
    ledger_transition, ledger_unfinished,
};
use futures::future::try_join_all;
use model::id::WorkerId;
use model::reason::ReasonCode;
use model::status::Status;
use serde_json::json;
use tests::answer::text;
use tests::{Outcome, Skep, Tenant, pretend, run, sql};

use crate::web;

/// Queues a deployment of each of these new apps.
async fn queue(tenant: &Tenant, apps: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for app in apps {
        tenant.create_app(app, web()).await?;
        ids.push(text(&tenant.deploy(app, json!({})).await?, "/id")?.to_owned());
    }
    Ok(ids)
}

/// As if the lease's holder had been dead for long enough.
async fn expire_leases(skep: &Skep) -> anyhow::Result<()> {
    let expire = "UPDATE deployments SET lease_expires_at = now() - interval '1 second' WHERE lease_owner IS NOT NULL";
    sql::execute(skep.database.owner(), expire).await.map(drop)
}

#[test]
fn claims_are_fair_between_organizations_and_oldest_first() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let flood = queue(&acme, &["a", "b", "c"]).await?;
        let late = queue(&globex, &["a", "b"]).await?;
        let mut order = Vec::new();
        for _ in 0..5 {
            order.push(pretend::claim(skep.database.worker()).await?.deployment.to_string());
        }
        // A flood of one organization does not keep another one waiting.
        let fair = [&flood[0], &late[0], &flood[1], &late[1], &flood[2]];
        assert!(order.iter().eq(fair), "{order:?}");
        let none = deployment_claim_next(skep.database.worker(), WorkerId::new()).await?;
        assert_eq!(none, None);
        Ok(())
    })
}

#[test]
fn many_claims_at_once_never_give_the_same_deployment_twice() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let queued = queue(&acme, &["a", "b", "c", "d", "e", "f"]).await?;
        let claims =
            (0..12).map(|_| deployment_claim_next(skep.database.worker(), WorkerId::new()));
        let claimed: Vec<_> = try_join_all(claims).await?.into_iter().flatten().collect();
        let ids: BTreeSet<String> =
            claimed.iter().map(|claim| claim.deployment.to_string()).collect();
        let fences: BTreeSet<i64> = claimed.iter().map(|claim| claim.fence).collect();
        assert_eq!((ids.len(), fences.len()), (claimed.len(), claimed.len()));
        // A claim that lost a race comes back empty; the next look finds what is left.
        let mut ids = ids;
        while let Some(claim) =
            deployment_claim_next(skep.database.worker(), WorkerId::new()).await?
        {
            assert!(ids.insert(claim.deployment.to_string()));
        }
        assert_eq!(ids, queued.into_iter().collect());
        Ok(())
    })
}

#[test]
fn postgres_itself_allows_one_driving_and_one_queued_deployment_of_an_app() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::update(skep.database.worker()).await?;
        acme.deploy("web", json!({})).await?;
        let owner = skep.database.owner();
        let second = "UPDATE deployments SET status = 'provisioning' WHERE status = 'queued'";
        let error = sql::execute(owner, second).await.unwrap_err();
        assert!(format!("{error:#}").contains("deployments_one_driving"), "{error:#}");
        let second = "UPDATE deployments SET status = 'queued' WHERE status = 'updating'";
        let error = sql::execute(owner, second).await.unwrap_err();
        assert!(format!("{error:#}").contains("deployments_one_queued"), "{error:#}");
        Ok(())
    })
}

#[test]
fn an_expired_lease_is_taken_over_and_the_old_fence_writes_nothing() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        queue(&acme, &["web"]).await?;
        let old = pretend::claim(worker).await?;
        assert!(ledger_renew(worker, old).await?);
        assert_eq!(deployment_claim_next(worker, WorkerId::new()).await?, None, "the lease holds");
        expire_leases(skep).await?;
        let new = pretend::claim(worker).await?;
        assert_eq!(new.deployment, old.deployment);
        assert!(new.fence > old.fence);

        assert!(!ledger_renew(worker, old).await?);
        assert!(!ledger_mark(worker, old, Marks { progressed: true, ..Marks::default() }).await?);
        assert!(ledger_read(worker, old).await?.is_none());
        let end = pretend::transition(Status::Failed, Some(ReasonCode::ImageNotFound));
        assert!(!ledger_transition(worker, old, Status::Provisioning, &end).await?);
        let rows =
            sql::row(skep.database.owner(), "SELECT status, reason_code FROM deployments").await?;
        assert_eq!(rows, json!({ "status": "provisioning", "reason_code": null }));
        assert_eq!(
            sql::count(skep.database.owner(), "deployment_events").await?,
            2,
            "queued and taken up"
        );
        pretend::go(worker, new, Status::Provisioning, end).await
    })
}

#[test]
fn a_lease_handed_over_is_taken_at_once() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        queue(&acme, &["web", "api"]).await?;
        let leaving = WorkerId::new();
        let first = deployment_claim_next(worker, leaving).await?.unwrap();
        let other = pretend::claim(worker).await?;
        assert_eq!(ledger_hand_over(worker, leaving).await?, 1, "its own, and nobody else's");
        let taken = pretend::claim(worker).await?;
        assert_eq!(taken.deployment, first.deployment);
        assert!(taken.fence > other.fence);
        Ok(())
    })
}

#[test]
fn an_illegal_step_is_refused_and_an_end_is_an_end() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        queue(&acme, &["web"]).await?;
        let (claim, _) = pretend::update(worker).await?;
        for to in [Status::Queued, Status::Provisioning, Status::RolledBack] {
            let step = pretend::transition(to, Some(ReasonCode::Live));
            assert!(
                ledger_transition(worker, claim, Status::Updating, &step).await.is_err(),
                "{to}"
            );
        }
        // A step from where it is not any more.
        let step = pretend::transition(Status::Updating, None);
        assert!(!ledger_transition(worker, claim, Status::Provisioning, &step).await?);
        let end = pretend::transition(Status::Stuck, Some(ReasonCode::UpdatePaused));
        pretend::go(worker, claim, Status::Updating, end.clone()).await?;
        assert_eq!(ledger_unfinished(worker).await?, 0);
        assert!(!ledger_transition(worker, claim, Status::Updating, &end).await?);
        assert!(!ledger_renew(worker, claim).await?);
        // Whoever tries: the trigger holds for the owner, too.
        for change in
            ["status = 'queued'", "reason = 'another'", "finished_at = NULL", "updated_at = now()"]
        {
            let error =
                sql::execute(skep.database.owner(), &format!("UPDATE deployments SET {change}"))
                    .await
                    .unwrap_err();
            assert!(format!("{error:#}").contains("has ended as stuck"), "{change}: {error:#}");
        }
        Ok(())
    })
}

#[test]
fn a_worker_never_claims_a_spec_that_it_does_not_know() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        queue(&acme, &["web"]).await?;
        sql::execute(skep.database.owner(), "UPDATE deployments SET spec_version = 1000").await?;
        let none = deployment_claim_next(skep.database.worker(), WorkerId::new()).await?;
        assert_eq!(none, None);
        Ok(())
    })
}

#[test]
fn a_scale_that_was_rolled_back_is_not_tried_again() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        queue(&acme, &["web"]).await?;
        let first = pretend::succeed(worker).await?;
        acme.scale("web", 5).await?;
        let (claim, _) = pretend::update(worker).await?;
        let back = pretend::transition(Status::RollingBack, Some(ReasonCode::Unschedulable));
        pretend::go(worker, claim, Status::Updating, back).await?;
        let mut end = pretend::transition(Status::RolledBack, None);
        end.live = first.release.map(|release| db::ledger::Live {
            release: release.id,
            restart_counter: 0,
            replicas: 1,
        });
        pretend::go(worker, claim, Status::RollingBack, end).await?;
        let app = acme.app("web").await?;
        assert_eq!((&app["replicas"], &app["live"]["replicas"]), (&1.into(), &1.into()));
        Ok(())
    })
}
