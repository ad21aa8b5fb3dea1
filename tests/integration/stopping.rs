//! Restart, stop and start: what they ask of a worker, and what they leave on the app.

use model::reason::ReasonCode;
use model::status::Status;
use serde_json::{Value, json};
use tests::{Outcome, Tenant, pretend, run, sql};

use crate::web;

/// The fields that these verbs move.
async fn app(tenant: &Tenant) -> anyhow::Result<(Value, bool)> {
    let app = tenant.app("web").await?;
    Ok((app["replicas"].clone(), !app["stopped_at"].is_null()))
}

#[test]
fn a_stopped_app_keeps_its_replicas_for_the_start() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        let mut spec = web();
        spec["replicas"] = 3.into();
        acme.create_app("web", spec).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let stop = acme.to("stop", "web").await?;
        assert_eq!((&stop["kind"], &stop["replicas"]), (&"stop".into(), &0.into()));
        pretend::succeed(worker).await?;
        assert_eq!(app(&acme).await?, (3.into(), true));
        // Deployments of a stopped app make their release live with no replicas.
        let deployed = acme.deploy("web", json!({})).await?;
        assert_eq!((&deployed["release"], &deployed["replicas"]), (&2.into(), &0.into()));
        pretend::succeed(worker).await?;
        let release = acme.client.get(&acme.path("apps/web/releases/2")).await?.expect(200)?;
        assert!(release["stable_at"].is_null(), "it never ran: {release}");
        for verb in ["restart", "scale"] {
            let path = acme.path(&format!("apps/web/{verb}"));
            let body = json!({ "replicas": 2 });
            let answer = if verb == "scale" {
                acme.client.post(&path, &body).await?
            } else {
                acme.ask_to(verb, "web").await?
            };
            answer.problem(409, "app_stopped")?;
        }
        let start = acme.to("start", "web").await?;
        assert_eq!((&start["release"], &start["replicas"]), (&2.into(), &3.into()));
        pretend::succeed(worker).await?;
        assert_eq!(app(&acme).await?, (3.into(), false));
        Ok(())
    })
}

#[test]
fn a_stopped_app_is_rolled_back_without_being_started() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        for image in ["skep-demo:v1", "skep-demo:v2"] {
            acme.deploy("web", json!({ "image": image })).await?;
            pretend::succeed(worker).await?;
        }
        acme.to("stop", "web").await?;
        pretend::succeed(worker).await?;
        let rollback = acme.path("apps/web/rollback");
        let live = acme.client.post(&rollback, &json!({ "release": 2 })).await?;
        live.problem(409, "already_live")?;
        let back = acme.rollback("web", json!({})).await?;
        assert_eq!((&back["release"], &back["replicas"]), (&1.into(), &0.into()));
        pretend::succeed(worker).await?;
        let start = acme.to("start", "web").await?;
        assert_eq!((&start["release"], &start["replicas"]), (&1.into(), &1.into()));
        Ok(())
    })
}

#[test]
fn a_stop_or_start_that_fails_leaves_the_app_as_it_was() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        acme.to("stop", "web").await?;
        pretend::fail(worker).await?;
        assert_eq!(app(&acme).await?, (1.into(), false));
        acme.to("stop", "web").await?;
        pretend::succeed(worker).await?;
        acme.to("start", "web").await?;
        assert_eq!(app(&acme).await?, (1.into(), false));
        pretend::fail(worker).await?;
        assert_eq!(app(&acme).await?, (1.into(), true));
        Ok(())
    })
}

#[test]
fn a_restart_runs_the_live_release_with_another_counter() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        for verb in ["restart", "stop", "start"] {
            acme.ask_to(verb, "web").await?.problem(409, "nothing_deployed")?;
        }
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let restart = acme.to("restart", "web").await?;
        assert_eq!((&restart["kind"], &restart["release"]), (&"restart".into(), &1.into()));
        let counters = "SELECT restart_counter, spec_version FROM deployments ORDER BY id";
        let rows = sql::rows(skep.database.owner(), counters).await?;
        let row = |counter, version| json!({ "restart_counter": counter, "spec_version": version });
        assert_eq!(rows, [row(0, 1), row(1, 2)], "workers before this version do not claim it");
        Ok(())
    })
}

#[test]
fn a_release_on_its_way_in_is_what_is_restarted() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        acme.deploy("web", json!({})).await?;
        let (claim, _) = pretend::update(worker).await?;
        let restart = acme.to("restart", "web").await?;
        assert_eq!(restart["release"], 2, "a restart does not undo what it supersedes");
        let end = pretend::transition(Status::Superseded, Some(ReasonCode::NewerDeployment));
        pretend::go(worker, claim, Status::Updating, end).await?;
        pretend::succeed(worker).await?;
        assert_eq!(acme.app("web").await?["live"]["release"], 2);
        Ok(())
    })
}
