//! Postgres is restarted in a rollout, and ends a connection in the middle of a transaction.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use db::pool::Connection;
use diesel::sql_query;
use diesel_async::RunQueryDsl as _;
use serde_json::{Value, json};
use tests::answer::text;
use tests::docker::Engine;
use tests::specs::{image, slow_web, web};
use tests::{Outcome, Skep, sql, wait_for, wait_until};

use crate::services::Service;
use crate::turns::{run_alone, run_beside};
use crate::{ended_once, tell};

const SOON: Duration = Duration::from_secs(20);

/// Locks the rows of all apps: an accept then waits in the middle of its transaction, with its key
/// written and its app not.
async fn hold_apps(skep: &Skep) -> Result<Connection> {
    let mut held = skep.database.owner().connection().await?;
    for statement in ["BEGIN", "SELECT FROM apps FOR UPDATE"] {
        sql_query(statement).execute(&mut held).await?;
    }
    Ok(held)
}

/// Waits until an accept does; sooner than it gives up by itself.
async fn an_accept_waits(skep: &Skep) -> Outcome {
    wait_until("an accept that waits", Duration::from_secs(4), async || {
        Ok(skep.database.api_waits().await? == 1)
    })
    .await
}

#[test]
fn restarted_in_a_rollout_the_worker_goes_on() -> Outcome {
    run_alone(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", slow_web("v1")).await?;
        acme.create_app("other", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let update = acme.deploy("web", json!({ "image": image("v2") })).await?;
        acme.wait_for_status(&update, &["updating"]).await?;
        // Whoever is in the middle of something is told to come again.
        let held = hold_apps(skep).await?;
        let interrupted = acme.ask_deploy("other", json!({}));
        let restart = async {
            an_accept_waits(skep).await?;
            let begun = Instant::now();
            Ok((begun, Service::Postgres.restart().await?))
        };
        let (answer, (begun, away)) = futures::future::try_join(interrupted, restart).await?;
        answer.problem(503, "unavailable")?;
        drop(held);
        wait_until("an API that serves", SOON, async || {
            let answer = skep.operator.get("/v1/organizations").await?;
            ensure!([200, 503].contains(&answer.status), "{}", answer.text);
            Ok(answer.status == 200)
        })
        .await?;
        let served = begun.elapsed();
        ended_once(&acme.wait_for(&update, "succeeded", "live").await?)?;
        tell(&format!(
            "Postgres restarted within {away:?} in a rollout: the API serves after {served:?}, live \
             after {:?}",
            begun.elapsed()
        ));
        let (_, answer) =
            Engine::connect()?.ask_from(text(&app, "/id")?, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v2");
        assert!(skep.workers().await[0].runs(), "the worker bore it");
        acme.deploy_live("other", json!({})).await?;
        Ok(())
    })
}

/// Everything that an accept writes.
async fn written(skep: &Skep) -> Result<Value> {
    let counts = "SELECT (SELECT count(*) FROM deployments) AS deployments, \
         (SELECT count(*) FROM releases) AS releases, \
         (SELECT count(*) FROM deployment_events) AS events, \
         (SELECT count(*) FROM outbox) AS outbox, \
         (SELECT count(*) FROM idempotency_keys) AS keys, \
         (SELECT count(*) FROM audit_log) AS audit, \
         (SELECT spec FROM apps) AS spec";
    sql::row(skep.database.owner(), counts).await
}

#[test]
fn a_connection_cut_in_an_accept_leaves_nothing_half_written() -> Outcome {
    run_beside(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        let owner = skep.database.owner();
        let before = written(skep).await?;
        let path = acme.path("apps/web/deployments");
        let body = json!({ "image": image("v2") });

        let mut held = hold_apps(skep).await?;
        let cut = async {
            an_accept_waits(skep).await?;
            skep.database.cut_api().await
        };
        let asked = acme.client.post_once(&path, &body, "key");
        let (answer, ()) = futures::future::try_join(asked, cut).await?;
        answer.problem(503, "unavailable")?;
        sql_query("ROLLBACK").execute(&mut held).await?;
        drop(held);
        assert_eq!(written(skep).await?, before);

        // A connection of the pool may be found dead only now.
        let first = wait_for("an accept", SOON, async || {
            let answer = acme.client.post_once(&path, &body, "key").await?;
            Ok((answer.status != 503).then_some(answer))
        })
        .await?;
        assert_eq!(first.header("idempotency-replayed"), None);
        let first = first.expect(202)?;
        let again = acme.client.post_once(&path, &body, "key").await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.expect(202)?["id"], first["id"]);
        assert_eq!(sql::count(owner, "deployments").await?, 1);
        Ok(())
    })
}
