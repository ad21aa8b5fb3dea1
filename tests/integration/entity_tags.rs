//! Entity tags: who reads again is told when nothing changed, and who changes what another has changed
//! is refused.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Outcome, Tenant, pretend, run, sql};

use crate::web;

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_default().to_owned()
}

async fn read(acme: &Tenant) -> anyhow::Result<(String, Value)> {
    let answer = acme.client.get(&acme.path("apps/web")).await?;
    Ok((tag(&answer), answer.expect(200)?))
}

async fn patch_if(acme: &Tenant, tag: &str, patch: Value) -> anyhow::Result<Answer> {
    let path = acme.path("apps/web");
    acme.client.ask_with(Method::PATCH, &path, Some(&patch), ("If-Match", tag)).await
}

#[test]
fn an_app_that_is_still_the_same_is_not_sent_again() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let path = acme.path("apps/web");
        let mut body = web();
        body["slug"] = "web".into();
        let made = acme.client.post(&acme.path("apps"), &body).await?;
        let (first, _) = read(&acme).await?;
        assert!(first.starts_with('"') && first.len() > 20, "strong: {first}");
        assert_eq!(tag(&made), first, "who made it need not read it");
        let again = async |tags: &str| {
            acme.client.ask_with(Method::GET, &path, None, ("If-None-Match", tags)).await
        };
        for known in [first.as_str(), &format!("\"other\", {first}"), &format!("W/{first}"), "*"] {
            let answer = again(known).await?;
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{known}");
            assert_eq!(tag(&answer), first);
        }
        assert_eq!(again("\"other\"").await?.expect(200)?["slug"], "web");
        // Whatever the answer shows changes the tag: what was patched, and what is live.
        let patched = acme.client.patch(&path, &json!({ "memory": 1024 })).await?;
        let second = tag(&patched);
        assert_ne!(second, first);
        assert_eq!(read(&acme).await?.0, second);
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        assert_eq!(again(&second).await?.expect(200)?["live"]["release"], 1);
        let bad = again("unquoted").await?.problem(400, "invalid")?;
        assert_eq!(bad["violations"][0]["field"], "If-None-Match");
        Ok(())
    })
}

#[test]
fn of_two_who_read_the_same_one_patches() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let (tag, _) = read(&acme).await?;
        let mut won = 0;
        let patches = (2..10).map(|n| patch_if(&acme, &tag, json!({ "replicas": n })));
        for answer in futures::future::try_join_all(patches).await? {
            if answer.status == 200 {
                won += 1;
                continue;
            }
            let problem = answer.problem(412, "precondition_failed")?;
            assert!(problem["detail"].as_str().unwrap().contains("read it again"), "{problem}");
        }
        assert_eq!(won, 1);
        let updates = "audit_log WHERE action = 'app.update'";
        assert_eq!(sql::count(skep.database.owner(), updates).await?, 1);
        let (tag, app) = read(&acme).await?;
        patch_if(&acme, "\"older\"", json!({ "memory": 1024 }))
            .await?
            .problem(412, "precondition_failed")?;
        patch_if(&acme, &format!("W/{tag}"), json!({ "memory": 1024 }))
            .await?
            .problem(412, "precondition_failed")?;
        let bad = patch_if(&acme, "unquoted", json!({ "memory": 1024 })).await?;
        assert_eq!(bad.problem(400, "invalid")?["violations"][0]["field"], "If-Match");
        assert_eq!(read(&acme).await?, (tag, app), "nothing was written");
        Ok(())
    })
}

#[test]
fn what_a_worker_does_refuses_no_change() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        let (before, _) = read(&acme).await?;
        pretend::succeed(skep.database.worker()).await?;
        let (after, _) = read(&acme).await?;
        assert_ne!(before, after, "another answer");
        patch_if(&acme, &before, json!({ "memory": 1024 })).await?.expect(200)?;
        // A list, and a star.
        let (tag, _) = read(&acme).await?;
        let tags = format!("\"other\", {tag}");
        patch_if(&acme, &tags, json!({ "memory": 2048 })).await?.expect(200)?;
        patch_if(&acme, "*", json!({ "memory": 512 })).await?.expect(200)?;
        // The image of a deployment becomes the app's.
        let (tag, _) = read(&acme).await?;
        acme.deploy("web", json!({ "image": "skep-demo:v2" })).await?;
        patch_if(&acme, &tag, json!({ "memory": 2048 }))
            .await?
            .problem(412, "precondition_failed")?;
        // Whether it is stopped is the app's, too.
        let (tag, _) = read(&acme).await?;
        acme.to("stop", "web").await?;
        patch_if(&acme, &tag, json!({ "memory": 2048 }))
            .await?
            .problem(412, "precondition_failed")?;
        Ok(())
    })
}

#[test]
fn scaling_and_removing_what_has_changed_is_refused_and_writes_nothing() -> Outcome {
    run(async |skep| {
        let owner = skep.database.owner();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let (old, _) = read(&acme).await?;
        acme.patch_app("web", json!({ "memory": 1024 })).await?;
        let (new, _) = read(&acme).await?;
        let (app, scale) = (acme.path("apps/web"), acme.path("apps/web/scale"));
        let body = json!({ "replicas": 2 });
        let ask = async |method: Method, path: &str, body: Option<&Value>, tag: &str| {
            acme.client.ask_with(method, path, body, ("If-Match", tag)).await
        };
        let state = "SELECT (SELECT count(*) FROM deployments) AS deployments,
            (SELECT count(*) FROM audit_log) AS audit, (SELECT to_jsonb(apps) FROM apps) AS app";
        let before = sql::row(owner, state).await?;
        ask(Method::POST, &scale, Some(&body), &old).await?.problem(412, "precondition_failed")?;
        ask(Method::DELETE, &app, None, &old).await?.problem(412, "precondition_failed")?;
        assert_eq!(sql::row(owner, state).await?, before);
        ask(Method::POST, &scale, Some(&body), &new).await?.expect(202)?;
        // Done under its key, it is answered again, though the app has changed by it.
        let (tag, _) = read(&acme).await?;
        let headers = &[("If-Match", tag.as_str()), ("Idempotency-Key", "remove")];
        let remove = tests::client::Ask { headers, body: None };
        let removed = acme.client.ask(Method::DELETE, &app, remove.clone()).await?;
        let again = acme.client.ask(Method::DELETE, &app, remove).await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.expect(202)?, removed.expect(202)?);
        Ok(())
    })
}
