//! What Postgres does for the ledger beyond the contract (`ledger_contract`): constraints that hold
//! whoever writes, and what an older worker leaves alone.

use db::ledger::{deployment_claim_next, ledger_unfinished};
use db::live::{live_apps, live_apps_elsewhere};
use model::id::WorkerId;
use model::reason::ReasonCode;
use model::status::Status;
use serde_json::json;
use tests::{Outcome, Tenant, pretend, run, sql};

use crate::web;

/// Queues a deployment of a new app `web`.
async fn queue(tenant: &Tenant) -> Outcome {
    tenant.create_app("web", web()).await?;
    tenant.deploy("web", json!({})).await.map(drop)
}

#[test]
fn postgres_itself_allows_one_driving_and_one_queued_deployment_of_an_app() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        queue(&acme).await?;
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
fn a_worker_never_claims_a_spec_that_it_does_not_know() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        queue(&acme).await?;
        sql::execute(skep.database.owner(), "UPDATE deployments SET spec_version = 1000").await?;
        let none = deployment_claim_next(skep.database.worker(), WorkerId::new()).await?;
        assert_eq!(none, None);
        Ok(())
    })
}

#[test]
fn a_version_that_an_older_skep_wrote_has_no_fingerprint() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        queue(&acme).await?;
        pretend::succeed(worker).await?;
        let ids = live_apps_elsewhere(worker, &[]).await?;
        let known = live_apps(worker, &ids).await?.remove(0).fingerprint;
        assert_eq!(known.map(|known| known.0), Some(pretend::fingerprint(pretend::VERSION)));
        let older = "UPDATE apps SET live_version = live_version + 1";
        sql::execute(skep.database.owner(), older).await?;
        let row = live_apps(worker, &ids).await?.remove(0);
        assert_eq!((row.version, row.fingerprint), (Some(pretend::VERSION + 1), None));
        acme.deploy("web", json!({})).await?;
        let work = pretend::succeed(worker).await?;
        assert_eq!(work.fingerprint, None);
        Ok(())
    })
}

#[test]
fn postgres_itself_lets_no_end_change() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        queue(&acme).await?;
        let (claim, _) = pretend::update(worker).await?;
        let end = pretend::transition(Status::Stuck, Some(ReasonCode::UpdatePaused));
        pretend::go(worker, claim, Status::Updating, end).await?;
        assert_eq!(ledger_unfinished(worker).await?, 0);
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
