//! Cancelling: at once while queued; a driving deployment is asked, and its worker says how it ends.

use model::reason::ReasonCode;
use model::status::Status;
use serde_json::{Value, json};
use tests::answer::list;
use tests::{Outcome, pretend, run, sql};

use crate::web;

#[test]
fn a_queued_one_ends_at_once_and_takes_back_what_it_asked_for() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let scale = acme.scale("web", 5).await?;
        let canceled = acme.ask_cancel(&scale).await?.expect(202)?;
        assert_eq!(
            (&canceled["status"], &canceled["reason"]["code"]),
            (&"canceled".into(), &"canceled".into())
        );
        assert_eq!(acme.app("web").await?["replicas"], 1);
        let stop = acme.to("stop", "web").await?;
        acme.ask_cancel(&stop).await?.expect(202)?;
        assert!(acme.app("web").await?["stopped_at"].is_null());
        let remove = acme.remove("web").await?;
        acme.ask_cancel(&remove).await?.expect(202)?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let none = db::ledger::deployment_claim_next(worker, model::id::WorkerId::new()).await?;
        assert_eq!(none, None, "nothing of what was canceled is left");
        let acts = "SELECT count(*) AS of FROM audit_log WHERE action = 'deployment.cancel'";
        assert_eq!(sql::rows(skep.database.owner(), acts).await?, [json!({ "of": 3 })]);
        Ok(())
    })
}

#[test]
fn a_driving_one_is_asked_once_and_its_timeline_says_so() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        let (claim, _) = pretend::update(worker).await?;
        let asked = acme.ask_cancel(&deployment).await?.expect(202)?;
        assert_eq!(asked["status"], "updating", "its worker ends it");
        assert!(!asked["cancel_requested_at"].is_null());
        let again = acme.ask_cancel(&deployment).await?.expect(202)?;
        assert_eq!(asked["cancel_requested_at"], again["cancel_requested_at"]);
        let found = acme.deployment(&deployment).await?;
        let told = list(&found, "/timeline")?
            .iter()
            .filter(|step| step["message"].as_str().is_some_and(|said| said.starts_with("asked")))
            .count();
        assert_eq!(told, 1);
        let back = pretend::transition(Status::RollingBack, Some(ReasonCode::Canceled));
        pretend::go(worker, claim, Status::Updating, back).await?;
        let end = pretend::transition(Status::Canceled, Some(ReasonCode::Canceled));
        pretend::go(worker, claim, Status::RollingBack, end).await?;
        let canceled = acme.ask_cancel(&deployment).await?.expect(202)?;
        assert_eq!(canceled["status"], "canceled", "asked again, it answers the same");
        Ok(())
    })
}

#[test]
fn what_has_ended_or_goes_back_or_is_superseded_is_not_canceled() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let ended = acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let (claim, _) = pretend::update(worker).await?;
        let back = pretend::transition(Status::RollingBack, Some(ReasonCode::Exited));
        pretend::go(worker, claim, Status::Updating, back).await?;
        let before = sql::rows(skep.database.owner(), "SELECT * FROM deployments").await?;
        for deployment in [&ended, &bad] {
            acme.ask_cancel(deployment).await?.problem(409, "not_cancelable")?;
        }
        assert_eq!(sql::rows(skep.database.owner(), "SELECT * FROM deployments").await?, before);
        acme.deploy("web", json!({})).await?;
        acme.ask_cancel(&bad).await?.problem(409, "not_cancelable")?;
        let absent = Value::String("dep_00000000000000000000000000".into());
        let nothing = json!({ "app": bad["app"], "id": absent });
        acme.ask_cancel(&nothing).await?.problem(404, "not_found")?;
        let end = pretend::transition(Status::Superseded, Some(ReasonCode::NewerDeployment));
        pretend::go(worker, claim, Status::RollingBack, end).await?;
        pretend::succeed(worker).await?;
        let removal = acme.remove("web").await?;
        pretend::update(worker).await?;
        acme.ask_cancel(&removal).await?.problem(409, "not_cancelable")?;
        skep.may_leave_unfinished();
        Ok(())
    })
}
