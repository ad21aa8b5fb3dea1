//! Idempotency keys: a request that is repeated is answered again, and done once.

use futures::future::try_join_all;
use serde_json::json;
use tests::{Outcome, pretend, run, sql};

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
        let (location, first) = (first.header("location").map(str::to_owned), first.expect(202)?);
        let again = acme.client.post_once(&path, &body, "key").await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.header("location").map(str::to_owned), location);
        assert_eq!(again.expect(202)?["id"], first["id"]);
        // Also when it has long ended; and then it tells how.
        pretend::succeed(skep.database.worker()).await?;
        let later = acme.client.post_once(&path, &body, "key").await?.expect(202)?;
        assert_eq!((&later["id"], &later["status"]), (&first["id"], &"succeeded".into()));
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, 1);
        assert_eq!(
            sql::count(skep.database.owner(), "audit_log WHERE action = 'app.deploy'").await?,
            1
        );
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
        let fresh =
            answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
        assert_eq!(fresh, 1);
        let mut ids = answers
            .into_iter()
            .map(|answer| Ok(answer.expect(202)?["id"].to_string()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
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
