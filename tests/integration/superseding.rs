//! Superseding: a newer deployment takes the queued one's place, and asks the driving one to end.

use model::reason::ReasonCode;
use model::status::Status;
use serde_json::{Value, json};
use tests::answer::list;
use tests::{Outcome, pretend, run, sql};

use crate::web;

#[test]
fn the_queued_one_ends_at_once() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let older = acme.deploy("web", json!({})).await?;
        let newer = acme.deploy("web", json!({})).await?;
        let ended = acme.deployment(&older).await?;
        assert_eq!(ended["status"], "superseded");
        assert_eq!(ended["reason"]["code"], "newer_deployment");
        assert_eq!(ended["superseded_by"], newer["id"]);
        assert!(!ended["finished_at"].is_null());
        assert_eq!(acme.deployment(&newer).await?["status"], "queued");
        Ok(())
    })
}

#[test]
fn the_driving_one_is_asked_to_end_and_wakes_the_newer_when_it_does() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let older = acme.deploy("web", json!({})).await?;
        let (claim, _) = pretend::update(worker).await?;
        let newer = acme.deploy("web", json!({})).await?;
        let asked = acme.deployment(&older).await?;
        assert_eq!(asked["status"], "updating", "it ends by itself, not by force");
        assert_eq!(asked["superseded_by"], newer["id"]);
        let last = list(&asked, "/timeline")?.last().map(|step| step["message"].clone());
        assert!(
            last.as_ref()
                .and_then(Value::as_str)
                .is_some_and(|text| text.starts_with("asked to end")),
            "{last:?}"
        );
        // One driving deployment of an app: the newer one waits.
        let none = db::ledger::deployment_claim_next(worker, model::id::WorkerId::new()).await?;
        assert_eq!(none, None);
        // What the accepts wrote has to be gone first: without a broker it would stay.
        tests::wait_until("an empty outbox", std::time::Duration::from_secs(5), async || {
            Ok(sql::count(skep.database.owner(), "outbox").await? == 0)
        })
        .await?;
        skep.broker_proxy.cut();
        let end = pretend::transition(Status::Superseded, Some(ReasonCode::NewerDeployment));
        pretend::go(worker, claim, Status::Updating, end).await?;
        assert_eq!(
            sql::count(skep.database.owner(), "outbox").await?,
            1,
            "its end wakes who waited"
        );
        pretend::succeed(worker).await?;
        assert_eq!(acme.deployment(&newer).await?["status"], "succeeded");
        Ok(())
    })
}

#[test]
fn many_at_once_leave_one_queued() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let deploys = (0..16).map(|_| acme.deploy("web", json!({})));
        let made = futures::future::try_join_all(deploys).await?;
        let mut numbers: Vec<i64> = made.iter().filter_map(|one| one["release"].as_i64()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=16).collect::<Vec<i64>>(), "each froze a release of its own");
        let rows = sql::rows(
            skep.database.owner(),
            "SELECT status, count(*) FROM deployments GROUP BY 1 ORDER BY 1",
        )
        .await?;
        assert_eq!(
            Value::from(rows),
            json!([
                { "status": "queued", "count": 1 }, { "status": "superseded", "count": 15 },
            ])
        );
        Ok(())
    })
}

#[test]
fn scaling_does_not_undo_what_it_supersedes() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        acme.deploy("web", json!({ "image": "skep-demo:v2" })).await?;
        let scaled = acme.scale("web", 2).await?;
        assert_eq!(scaled["release"], 2, "the one on its way in, not the live one");
        Ok(())
    })
}
