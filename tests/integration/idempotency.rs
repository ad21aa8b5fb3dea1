//! Idempotency keys: a request that is repeated is answered again, and done once.

use std::time::Duration;

use db::requests::keys_purge;
use diesel_async::SimpleAsyncConnection as _;
use futures::future::try_join_all;
use orchestrator::Purge;
use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::text;
use tests::client::Ask;
use tests::{Answer, Client, Outcome, Skep, pretend, run, sql, wait_until};
use tokio_util::sync::CancellationToken;

use crate::doors::{Door, Things, table};
use crate::web;

#[test]
fn the_same_request_again_is_the_same_deployment() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/deployments");
        let body = json!({ "image": "skep-demo:v2" });
        let first = acme.client.post_once(&path, &body, "key").await?;
        assert_eq!(first.header("idempotency-replayed"), None);
        let again = acme.client.post_once(&path, &body, "key").await?;
        assert_same(&first, &again);
        // Also when it has long ended: the answer is the first one, the deployment itself tells more.
        pretend::succeed(skep.database.worker()).await?;
        let later = acme.client.post_once(&path, &body, "key").await?;
        assert_same(&first, &later);
        assert_eq!(acme.deployment(&later.expect(202)?).await?["status"], "succeeded");
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, 1);
        assert_eq!(
            sql::count(skep.database.owner(), "audit_log WHERE action = 'app.deploy'").await?,
            1
        );
        Ok(())
    })
}

/// The second is the first one's answer, to the letter.
fn assert_same(first: &Answer, again: &Answer) {
    assert_eq!(again.header("idempotency-replayed"), Some("true"), "{}", again.request);
    assert_eq!(again.status, first.status, "{}: {}", again.request, again.text);
    assert_eq!(again.text, first.text, "{}", again.request);
    for header in ["location", "etag", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{}: {header}", again.request);
    }
}

#[test]
fn every_post_is_done_once() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        // Whom its networks are checked against.
        skep.tenant("globex").await?;
        let mut things = Things::of(&acme, skep).await?;
        // Something to roll back from.
        acme.deploy("web", json!({ "image": "skep-demo:v2" })).await?;
        pretend::succeed(skep.database.worker()).await?;
        let posts: Vec<_> = table().into_iter().filter(|(method, ..)| *method == "POST").collect();
        assert!(posts.len() >= 10, "{}", posts.len());
        for (_, template, door, body) in posts {
            // What is a person's own has its own test.
            let Door::To(action) = door else { continue };
            let client = if action.roles().is_empty() { &skep.operator } else { &acme.client };
            let path = things.fill(&template);
            let before = written(skep).await?;
            let first = post(client, &path, &body, "").await?;
            assert!((200..300).contains(&first.status), "{template}: {}", first.text);
            assert_eq!(first.header("idempotency-replayed"), None, "{template}");
            let after = written(skep).await?;
            assert_ne!(before, after, "{template} writes nothing: is it audited?");
            let again = post(client, &path, &body, "").await?;
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{template}");
            assert_eq!(again.status, first.status, "{template}");
            assert_eq!(written(skep).await?, after, "{template} was done twice");
            // What is shown once is the one thing that may be missing.
            let mut first = first;
            if let Some(secret) = first.body.get_mut("secret") {
                *secret = Value::Null;
            }
            assert_eq!(again.body, first.body, "{template}");
            // Without a body there is no other request to this path.
            if !body.is_null() {
                let other = post(client, &path, &other(&template, &body), " ").await?;
                other.problem(422, "idempotency_key_reused")?;
                assert_eq!(written(skep).await?, after, "{template}");
            }
            // What was accepted last is what can be canceled.
            let made = first.body["id"].as_str().filter(|id| id.starts_with("dep_"));
            if let Some(deployment) = made {
                things.name("deployment", deployment);
            }
            // And what was made last is what can be rotated.
            if let Some(token) = first.body["id"].as_str().filter(|id| id.starts_with("tok_")) {
                things.name("token", token);
            }
        }
        Ok(())
    })
}

/// A body that is to be told from this one. A value that is to be sealed is not compared, so something else has to differ.
fn other(template: &str, body: &Value) -> Value {
    let mut other = body.clone();
    match (body.get("value").is_some(), template.ends_with("/versions")) {
        (true, true) => other["deploy"] = false.into(),
        (true, false) => other["rotation_days"] = 1.into(),
        (false, _) => {}
    }
    other
}

/// A POST with a key, and with a body where it has one, behind which there may be something.
async fn post(client: &Client, path: &str, body: &Value, behind: &str) -> anyhow::Result<Answer> {
    let body = (!body.is_null()).then(|| format!("{body}{behind}").into_bytes());
    client.ask(Method::POST, path, Ask { headers: &[("Idempotency-Key", "key")], body }).await
}

/// How many rows there are of what requests write.
async fn written(skep: &Skep) -> anyhow::Result<Value> {
    let counts = [
        "organizations",
        "environments",
        "tokens",
        "apps",
        "releases",
        "deployments",
        "deployment_events",
        "audit_log",
        "idempotency_keys",
    ]
    .map(|table| format!("(SELECT count(*) FROM {table}) AS {table}"));
    sql::row(skep.database.owner(), &format!("SELECT {}", counts.join(", "))).await
}

#[test]
fn a_secret_is_not_kept_with_the_answer() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let path = format!("{}/tokens", acme.home());
        let body = json!({ "name": "CI" });
        let first = skep.operator.post_once(&path, &body, "key").await?.expect(201)?;
        let secret = text(&first, "/secret")?.trim_start_matches("skep_").to_owned();
        let again = skep.operator.post_once(&path, &body, "key").await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let again = again.expect(201)?;
        assert!(again["secret"].is_null(), "{again}");
        assert_eq!(again["id"], first["id"]);
        assert_eq!(sql::count(skep.database.owner(), "tokens WHERE name = 'CI'").await?, 1);
        let kept = sql::rows(skep.database.owner(), "SELECT * FROM idempotency_keys").await?;
        let kept = Value::from(kept).to_string();
        assert!(kept.contains("CI") && !kept.contains(&secret), "{kept}");
        Ok(())
    })
}

#[test]
fn while_the_first_is_in_flight_the_second_is_told() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/deployments");
        // The first waits for the app's row, as behind a slow transaction.
        let mut slow = skep.database.owner().connection().await?;
        slow.batch_execute("BEGIN; SELECT 1 FROM apps FOR UPDATE").await?;
        let body = json!({});
        let told = async {
            let locks = "pg_locks WHERE locktype = 'advisory' AND granted AND database = \
                 (SELECT oid FROM pg_database WHERE datname = current_database())";
            wait_until("the first to be in flight", Duration::from_secs(4), async || {
                Ok(sql::count(skep.database.owner(), locks).await? == 1)
            })
            .await?;
            let second = acme.client.post_once(&path, &body, "key").await?;
            second.problem(409, "idempotency_key_in_flight")?;
            // Another key is another request, and the same one with another body is no exception.
            let other = acme.client.post_once(&path, &json!({ "force": true }), "key").await?;
            other.problem(409, "idempotency_key_in_flight")?;
            slow.batch_execute("COMMIT").await?;
            anyhow::Ok(())
        };
        let (first, told) = futures::join!(acme.client.post_once(&path, &body, "key"), told);
        told?;
        let first = first?;
        assert_eq!(first.header("idempotency-replayed"), None);
        assert_same(&first, &acme.client.post_once(&path, &body, "key").await?);
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, 1);
        Ok(())
    })
}

#[test]
fn key_and_change_are_committed_together_or_not_at_all() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let owner = skep.database.owner();
        let path = acme.path("apps");
        let mut body = web();
        body["slug"] = "web".into();
        for right in ["EXECUTE ON FUNCTION keep_answer", "INSERT ON audit_log"] {
            let before = written(skep).await?;
            sql::execute(owner, &format!("REVOKE {right} FROM skep_api")).await?;
            let refused = acme.client.post_once(&path, &body, "key").await?;
            refused.problem(500, "internal")?;
            assert_eq!(written(skep).await?, before, "{right}");
            sql::execute(owner, &format!("GRANT {right} TO skep_api")).await?;
        }
        let made = acme.client.post_once(&path, &body, "key").await?;
        assert_eq!(made.header("idempotency-replayed"), None);
        made.expect(201)?;
        Ok(())
    })
}

#[test]
fn a_removed_apps_requests_are_answered_as_they_were() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let (app, deployments) = (acme.path("apps/web"), acme.path("apps/web/deployments"));
        let deployed = acme.client.post_once(&deployments, &json!({}), "deploy").await?;
        pretend::succeed(skep.database.worker()).await?;
        let removal = acme.client.delete_once(&app, "remove").await?;
        assert_eq!(removal.status, 202, "{}", removal.text);
        for _ in 0..2 {
            assert_same(&removal, &acme.client.delete_once(&app, "remove").await?);
            let again = acme.client.post_once(&deployments, &json!({}), "deploy").await?;
            assert_same(&deployed, &again);
            if sql::count(skep.database.owner(), "apps WHERE removed_at IS NULL").await? == 1 {
                pretend::succeed(skep.database.worker()).await?;
            }
        }
        acme.client.get(&app).await?.problem(404, "not_found")?;
        acme.client.delete_once(&app, "other").await?.problem(404, "not_found")?;
        Ok(())
    })
}

#[test]
fn a_key_is_another_one_after_a_day_and_is_purged() -> Outcome {
    run(async |skep| {
        let owner = skep.database.owner();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/deployments");
        let ask = async |body: Value| acme.client.post_once(&path, &body, "key").await;
        let first = ask(json!({})).await?.expect(202)?;
        let age = "UPDATE idempotency_keys SET created_at = created_at - interval '24 hours'";
        sql::execute(owner, &age.replace("24 hours", "23 hours 59 minutes")).await?;
        assert_eq!(ask(json!({})).await?.expect(202)?["id"], first["id"], "it still holds");
        sql::execute(owner, age).await?;
        // Not purged yet, and without effect all the same: for another body, too.
        let second = ask(json!({ "force": true })).await?;
        assert_eq!(second.header("idempotency-replayed"), None);
        let second = second.expect(202)?;
        assert_ne!(second["id"], first["id"]);
        assert_eq!(ask(json!({ "force": true })).await?.expect(202)?["id"], second["id"]);
        // The purge takes what is over, in bounded steps, and leaves the rest.
        let copies = "INSERT INTO idempotency_keys (token_id, route, key, request_hash, created_at)
             SELECT token_id, route, 'old' || n, request_hash, now() - interval '25 hours'
             FROM idempotency_keys, generate_series(1, 5) AS n";
        sql::execute(owner, copies).await?;
        assert_eq!(keys_purge(skep.database.worker(), 2).await?, 2);
        assert_eq!(sql::count(owner, "idempotency_keys").await?, 4);
        let (stop, purge) =
            (CancellationToken::new(), Purge { database: skep.database.worker().clone() });
        let purging = tokio::spawn(purge.run(stop.clone()));
        wait_until("the old keys to go", Duration::from_secs(10), async || {
            Ok(sql::count(owner, "idempotency_keys").await? == 1)
        })
        .await?;
        stop.cancel();
        purging.await?;
        assert_eq!(ask(json!({ "force": true })).await?.expect(202)?["id"], second["id"]);
        Ok(())
    })
}

#[test]
fn a_key_of_an_older_version_is_never_done_again() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/deployments");
        acme.client.post_once(&path, &json!({}), "key").await?.expect(202)?;
        // As the version before this one left it.
        let older = "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL";
        sql::execute(skep.database.owner(), older).await?;
        let again = acme.client.post_once(&path, &json!({}), "key").await?;
        again.problem(409, "idempotency_key_in_flight")?;
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, 1);
        // And it finds the deployment by what this version writes.
        let found = "deployments JOIN idempotency_keys ON deployment_id = deployments.id";
        assert_eq!(sql::count(skep.database.owner(), found).await?, 1);
        Ok(())
    })
}

#[test]
fn another_body_under_the_same_key_is_refused() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/deployments");
        acme.client
            .post_once(&path, &json!({ "image": "skep-demo:v2" }), "key")
            .await?
            .expect(202)?;
        let other =
            acme.client.post_once(&path, &json!({ "image": "skep-demo:v3" }), "key").await?;
        other.problem(422, "idempotency_key_reused")?;
        assert_eq!(acme.app("web").await?["spec"]["image"], "skep-demo:v2");
        Ok(())
    })
}

#[test]
fn a_key_belongs_to_a_token_and_a_route() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let mut made = Vec::new();
        for tenant in [&acme, &globex] {
            for app in ["web", "api"] {
                tenant.create_app(app, web()).await?;
                let path = tenant.path(&format!("apps/{app}/deployments"));
                let answer = tenant.client.post_once(&path, &json!({}), "key").await?;
                assert_eq!(answer.header("idempotency-replayed"), None);
                made.push(answer.expect(202)?["id"].to_string());
            }
        }
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 4);
        Ok(())
    })
}

#[test]
fn sixteen_at_once_are_one_deployment() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/deployments");
        let asks = (0..16).map(async |_| acme.client.post_once(&path, &json!({}), "key").await);
        let answers = try_join_all(asks).await?;
        let (done, early): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status == 202);
        for answer in early {
            answer.problem(409, "idempotency_key_in_flight")?;
        }
        let (fresh, again): (Vec<_>, Vec<_>) =
            done.into_iter().partition(|answer| answer.header("idempotency-replayed").is_none());
        assert_eq!(fresh.len(), 1);
        for answer in &again {
            assert_same(&fresh[0], answer);
        }
        assert_same(&fresh[0], &acme.client.post_once(&path, &json!({}), "key").await?);
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, 1);
        assert_eq!(sql::count(skep.database.owner(), "releases").await?, 1);
        Ok(())
    })
}

#[test]
fn keys_are_bounded() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/deployments");
        for key in ["", "a b", &"k".repeat(256)] {
            let answer = acme.client.post_once(&path, &json!({}), key).await?;
            let problem = answer.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], "Idempotency-Key", "{key:?}: {problem}");
        }
        acme.client.post_once(&path, &json!({}), &"k".repeat(255)).await?.expect(202)?;
        Ok(())
    })
}

#[test]
fn a_refused_request_leaves_its_key_free() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let path = acme.path("apps/web/scale");
        let body = json!({ "replicas": 2 });
        acme.client.post_once(&path, &body, "key").await?.problem(409, "nothing_deployed")?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let answer = acme.client.post_once(&path, &body, "key").await?;
        assert_eq!(answer.header("idempotency-replayed"), None);
        answer.expect(202)?;
        Ok(())
    })
}
