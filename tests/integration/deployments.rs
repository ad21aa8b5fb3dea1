//! Deployments: accepted whole or not at all, and followed to their end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::api::Api;
use tests::wire::{Statement, Transaction, Wire};
use tests::{Outcome, pretend, run, sql};

use crate::web;

/// How many rows an accept has written, table by table.
async fn written(database: &db::Database) -> anyhow::Result<Value> {
    sql::row(
        database,
        "SELECT (SELECT count(*) FROM releases) AS releases,
                (SELECT count(*) FROM deployments) AS deployments,
                (SELECT count(*) FROM deployment_events) AS events,
                (SELECT count(*) FROM outbox) AS outbox,
                (SELECT count(*) FROM audit_log WHERE action = 'app.deploy') AS audit,
                (SELECT count(*) FROM idempotency_keys) AS keys,
                (SELECT last_release FROM apps) AS last_release",
    )
    .await
}

#[test]
fn an_accept_writes_everything_at_once() -> Outcome {
    run(async |skep| {
        // Or the relay would have taken the wake-up away before it is looked at.
        skep.broker_proxy.cut();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/deployments");
        let answer =
            acme.client.post_once(&path, &json!({ "image": "skep-demo:v2" }), "first").await?;
        let location = answer.header("location").map(str::to_owned);
        let accepted = answer.expect(202)?;
        assert_eq!(location, Some(format!("{path}/{}", text(&accepted, "/id")?)));
        assert_eq!(accepted["status"], "queued");
        assert_eq!(accepted["kind"], "deploy");
        assert_eq!(accepted["release"], 1);
        assert_eq!(
            acme.app("web").await?["spec"]["image"],
            "skep-demo:v2",
            "the app's image, from now on"
        );
        assert_eq!(
            written(skep.database.owner()).await?,
            json!({
                "releases": 1, "deployments": 1, "events": 1, "outbox": 1, "audit": 1, "keys": 1, "last_release": 1,
            })
        );
        let release = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        assert_eq!(release["spec"]["image"], "skep-demo:v2");
        assert!(release["resolved_image"].is_null() && release["stable_at"].is_null());
        Ok(())
    })
}

#[test]
fn an_accept_that_fails_half_way_writes_nothing() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        // The last statement of the transaction is the one that fails.
        sql::execute(skep.database.owner(), "REVOKE INSERT ON outbox FROM skep_api").await?;
        let path = acme.path("apps/web/deployments");
        let answer = acme.client.post_once(&path, &json!({}), "first").await?;
        answer.problem(500, "internal")?;
        assert_eq!(
            written(skep.database.owner()).await?,
            json!({
                "releases": 0, "deployments": 0, "events": 0, "outbox": 0, "audit": 0, "keys": 0, "last_release": 0,
            })
        );
        // And the same request works once the cause is mended.
        sql::execute(skep.database.owner(), "GRANT INSERT ON outbox TO skep_api").await?;
        acme.client.post_once(&path, &json!({}), "first").await?.expect(202)?;
        Ok(())
    })
}

#[test]
fn an_accept_takes_at_most_eight_statements() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let mut settings = skep.api_settings()?;
        let wire = Wire::start(&skep.database.api_url()?).await?;
        settings.database_url = wire.through(&skep.database.api_url()?)?.into();
        let api = Api::start(settings).await?;
        let client = acme.client.at(api.url());
        let path = acme.path("apps/web/deployments");
        // The second supersedes the first: the dearest deployment there is.
        for key in ["first", "second"] {
            client.post_once(&path, &json!({ "image": "skep-demo:v2" }), key).await?.expect(202)?;
        }
        pretend::succeed(skep.database.worker()).await?;
        client.post_once(&path, &json!({ "image": "skep-demo:v3" }), "third").await?.expect(202)?;
        pretend::succeed(skep.database.worker()).await?;
        // Rollbacks look for their release, and at the live one besides.
        let rollback = acme.path("apps/web/rollback");
        for target in [json!("previous"), json!("stable"), json!(2)] {
            let body = json!({ "release": target });
            client.post_once(&rollback, &body, &target.to_string()).await?.expect(202)?;
            pretend::succeed(skep.database.worker()).await?;
        }
        let scale = acme.path("apps/web/scale");
        client.post_once(&scale, &json!({ "replicas": 2 }), "scale").await?.expect(202)?;
        for verb in ["restart", "stop", "start"] {
            let path = acme.path(&format!("apps/web/{verb}"));
            client.post_once(&path, &Value::Null, verb).await?.expect(202)?;
        }
        client.delete_once(&acme.path("apps/web"), "remove").await?.expect(202)?;
        let is_accept =
            |statement: &Statement| statement.text.contains("INSERT INTO deployments (");
        let accepts: Vec<Transaction> = wire
            .transactions()
            .into_iter()
            .filter(|statements| statements.iter().any(is_accept))
            .collect();
        assert_eq!(accepts.len(), 11);
        for statements in &accepts {
            assert!(statements.len() >= 4, "is it heard at all? {statements:#?}");
            let is_deploy =
                statements.iter().any(|told| told.text.contains("INSERT INTO releases"));
            // One more where addresses of the network have to be kept.
            let keeps = statements.iter().any(|told| told.text.contains("network_capacity"));
            let most = if is_deploy { 6 } else { 7 } + usize::from(keeps);
            assert!(statements.len() <= most, "{} statements: {statements:#?}", statements.len());
        }
        api.stop().await
    })
}

#[test]
fn what_an_accept_sends_is_prepared_once() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let mut settings = skep.api_settings()?;
        let wire = Wire::start(&skep.database.api_url()?).await?;
        settings.database_url = wire.through(&skep.database.api_url()?)?.into();
        settings.database_connections = 2;
        let api = Api::start(settings).await?;
        let client = acme.client.at(api.url());
        let path = acme.path("apps/web/deployments");
        let accept = async |number: u32| {
            client.post_once(&path, &json!({}), &number.to_string()).await?.expect(202)
        };
        for number in 0..20 {
            accept(number).await?;
        }
        let told = wire.alone();
        let plans = told.iter().filter(|statement| statement.text.contains("plan_cache_mode"));
        assert!(plans.count() >= 1, "an API keeps its plans: {told:#?}");
        let mut prepared: BTreeMap<String, u32> = BTreeMap::new();
        // Each connection sets itself up, the one that listens for changes too.
        for text in wire.prepared().into_iter().filter(|text| !text.starts_with("SET ")) {
            *prepared.entry(text).or_default() += 1;
        }
        assert!(prepared.len() >= 7, "is it heard at all? {prepared:#?}");
        assert!(prepared.values().all(|times| *times <= 2), "once a connection: {prepared:#?}");
        pretend::succeed(skep.database.worker()).await?;
        api.stop().await
    })
}

#[test]
fn waiting_ends_with_the_deployment_or_with_the_time() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        let path = acme.deployment_path(&deployment)?;
        let asked = Instant::now();
        let found = acme.client.get(&format!("{path}?wait=1")).await?.expect(200)?;
        assert_eq!(found["status"], "queued");
        assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());

        let asked = Instant::now();
        let path = format!("{path}?wait=30");
        let waiting = acme.client.get(&path);
        let (answer, failed) = futures::join!(waiting, pretend::fail(skep.database.worker()));
        failed?;
        assert_eq!(answer?.expect(200)?["status"], "failed");
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        Ok(())
    })
}

#[test]
fn a_timeline_tells_every_step() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let found = acme.deployment(&deployment).await?;
        let steps: Vec<&Value> =
            list(&found, "/timeline")?.iter().map(|step| &step["status"]).collect();
        assert_eq!(steps, ["queued", "provisioning", "updating", "verifying", "succeeded"]);
        assert_eq!(found["reason"]["code"], "live");
        assert!(found["evidence"].is_null());
        let app = acme.app("web").await?;
        assert_eq!(app["live"], json!({ "release": 1, "replicas": 1 }));
        Ok(())
    })
}

#[test]
fn scaling_needs_something_deployed() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/scale");
        acme.client
            .post(&path, &json!({ "replicas": 3 }))
            .await?
            .problem(409, "nothing_deployed")?;
        assert_eq!(acme.app("web").await?["replicas"], 1, "a refused scale changes nothing");
        for bad in [
            json!({}),
            json!({ "replicas": -1 }),
            json!({ "replicas": 101 }),
            json!({ "replicas": "2" }),
        ] {
            let problem = acme.client.post(&path, &bad).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], "replicas", "{problem}");
        }
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let scaled = acme.scale("web", 3).await?;
        assert_eq!(
            (&scaled["kind"], &scaled["replicas"], &scaled["release"]),
            (&"scale".into(), &3.into(), &1.into())
        );
        assert_eq!(acme.app("web").await?["replicas"], 3);
        Ok(())
    })
}

#[test]
fn bad_requests_are_told_and_leave_nothing() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        for (bad, field) in [
            (json!({ "image": "demo" }), "image"),
            (json!({ "image": "a:1\u{0}" }), "image"),
            (json!({ "image": "a:1", "release": 1 }), "release"),
            (json!({ "release": 0 }), "release"),
            (json!({ "force": "yes" }), "force"),
            (json!({ "tag": "v2" }), "tag"),
        ] {
            let problem = acme.ask_deploy("web", bad.clone()).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field, "{bad}: {problem}");
        }
        acme.ask_deploy("absent", json!({})).await?.problem(404, "not_found")?;
        for absent in ["dep_01jd3k0000000000000000000a", "web", "1", "%00"] {
            let path = acme.path(&format!("apps/web/deployments/{absent}"));
            acme.client.get(&path).await?.problem(404, "not_found")?;
        }
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, 0);
        assert_eq!(sql::count(skep.database.owner(), "releases").await?, 0);
        Ok(())
    })
}
