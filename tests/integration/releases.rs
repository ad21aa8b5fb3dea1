//! Releases: immutable, numbered, and deployable again while they are kept.

use serde_json::{Value, json};
use tests::answer::text;
use tests::{Outcome, Skep, pretend, run, sql};

use crate::web;

#[test]
fn a_release_that_never_ran_is_no_rollback_target() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let rollback = acme.path("apps/web/rollback");
        let nothing = acme.client.post(&rollback, &json!({})).await?;
        nothing.problem(409, "nothing_deployed")?;
        acme.deploy("web", json!({})).await?;
        pretend::fail(skep.database.worker()).await?;
        let unresolved = acme.client.post(&rollback, &json!({ "release": 1 })).await?;
        let problem = unresolved.problem(409, "not_deployable")?;
        assert!(text(&problem, "/detail")?.contains("v1 never ran"), "{problem}");
        acme.client.post(&rollback, &json!({ "release": 9 })).await?.problem(404, "not_found")?;
        // The other way to say it.
        acme.ask_deploy("web", json!({ "release": 1 })).await?.problem(409, "not_deployable")?;
        Ok(())
    })
}

#[test]
fn the_previous_one_is_what_was_live_before() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let rollback = acme.path("apps/web/rollback");
        acme.client.post(&rollback, &json!({})).await?.problem(409, "nothing_deployed")?;
        acme.deploy("web", json!({ "image": "skep-demo:v2" })).await?;
        pretend::succeed(worker).await?;
        // One that failed was never live.
        acme.deploy("web", json!({ "image": "skep-demo:v3" })).await?;
        pretend::fail(worker).await?;
        let back = acme.rollback("web", json!({})).await?;
        assert_eq!((&back["kind"], &back["release"]), (&"rollback".into(), &1.into()));
        pretend::succeed(worker).await?;
        assert_eq!(acme.app("web").await?["live"]["release"], 1);
        let forth = acme.rollback("web", json!({})).await?;
        assert_eq!(forth["release"], 2, "back from a rollback is where it came from");
        pretend::succeed(worker).await?;
        assert_eq!(
            acme.app("web").await?["spec"]["image"],
            "skep-demo:v3",
            "what is next is not what is live"
        );
        Ok(())
    })
}

#[test]
fn the_newest_ten_are_kept() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        for _ in 0..12 {
            acme.deploy("web", json!({})).await?;
            pretend::succeed(skep.database.worker()).await?;
        }
        let rollback = acme.path("apps/web/rollback");
        let gone = acme.client.post(&rollback, &json!({ "release": 2 })).await?;
        let problem = gone.problem(409, "not_deployable")?;
        assert!(text(&problem, "/detail")?.contains("10 are kept"), "{problem}");
        let kept = json!({ "release": 3, "force": true });
        assert_eq!(acme.rollback("web", kept).await?["release"], 3);
        // Its row stays, as history.
        acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        Ok(())
    })
}

#[test]
fn the_stable_one_is_the_newest_other_one_that_was_healthy() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let rollback = acme.path("apps/web/rollback");
        let stable = json!({ "release": "stable" });
        acme.client.post(&rollback, &stable).await?.problem(409, "nothing_deployed")?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        acme.client.post(&rollback, &stable).await?.problem(409, "nothing_deployed")?;
        // Live, but nobody has seen it healthy: it had no replicas.
        acme.patch_app("web", json!({ "replicas": 0, "image": "skep-demo:v2" })).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        acme.patch_app("web", json!({ "replicas": 1, "image": "skep-demo:v3" })).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let previous = acme.rollback("web", json!({ "release": "previous" })).await?;
        assert_eq!(previous["release"], 2);
        let back = acme.rollback("web", stable.clone()).await?;
        assert_eq!((&back["kind"], &back["release"]), (&"rollback".into(), &1.into()));
        pretend::succeed(worker).await?;
        assert_eq!(acme.rollback("web", stable).await?["release"], 3, "and forth");
        Ok(())
    })
}

/// Everything that a rollback would write.
async fn written(skep: &Skep) -> anyhow::Result<Value> {
    sql::row(
        skep.database.owner(),
        "SELECT (SELECT jsonb_agg(d ORDER BY id) FROM deployments d) AS deployments,
            (SELECT count(*) FROM releases) AS releases, (SELECT to_jsonb(apps) FROM apps) AS app,
            (SELECT count(*) FROM deployment_events) AS events,
            (SELECT count(*) FROM audit_log) AS audit, (SELECT count(*) FROM idempotency_keys) AS keys",
    )
    .await
}

#[test]
fn what_is_live_is_no_target_unless_forced() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        // The second is the first again, under another number.
        for _ in 0..2 {
            acme.deploy("web", json!({})).await?;
            pretend::succeed(worker).await?;
        }
        let before = written(skep).await?;
        let ask = async |path: &str, body: Value| {
            acme.client.post_once(&acme.path(&format!("apps/web/{path}")), &body, "key").await
        };
        for (path, body, told) in [
            ("rollback", json!({}), "v1 is the same as v2"),
            ("rollback", json!({ "release": "stable" }), "v1 is the same as v2"),
            ("rollback", json!({ "release": 2 }), "v2 is the one that is live"),
            ("deployments", json!({ "release": 2 }), "v2 is the one that is live"),
        ] {
            let problem = ask(path, body).await?.problem(409, "already_live")?;
            assert!(text(&problem, "/detail")?.contains(told), "{problem}");
        }
        assert_eq!(written(skep).await?, before, "a refusal writes nothing");
        let forced = ask("rollback", json!({ "release": 2, "force": true })).await?.expect(202)?;
        assert_eq!((&forced["release"], &forced["force"]), (&2.into(), &true.into()));
        pretend::succeed(worker).await?;
        // While another one is on its way in, what is live is the way back.
        acme.deploy("web", json!({ "image": "skep-demo:v2" })).await?;
        pretend::update(worker).await?;
        assert_eq!(acme.rollback("web", json!({ "release": 2 })).await?["release"], 2);
        Ok(())
    })
}

#[test]
fn a_bad_target_is_told_and_nothing_is_written() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        for image in ["v1", "v2"] {
            acme.deploy("web", json!({ "image": format!("skep-demo:{image}") })).await?;
            pretend::succeed(skep.database.worker()).await?;
        }
        acme.deploy("web", json!({ "image": "skep-demo:v3" })).await?;
        pretend::fail(skep.database.worker()).await?;
        let before = written(skep).await?;
        let rollback = acme.path("apps/web/rollback");
        for bad in [json!(0), json!(-1), json!(1.5), json!("v1"), json!("1"), json!(""), json!([1])]
        {
            let answer =
                acme.client.post_once(&rollback, &json!({ "release": bad }), "key").await?;
            let problem = answer.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], "release", "{bad}: {problem}");
        }
        for (bad, field) in [(json!({ "to": 1 }), "to"), (json!({ "force": 1 }), "force")] {
            let problem = acme.client.post(&rollback, &bad).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field, "{problem}");
        }
        let ask = async |release: i32| {
            acme.client.post_once(&rollback, &json!({ "release": release }), "key").await
        };
        ask(3).await?.problem(409, "not_deployable")?;
        ask(4).await?.problem(404, "not_found")?;
        ask(i32::MAX).await?.problem(404, "not_found")?;
        assert_eq!(written(skep).await?, before);
        ask(1).await?.expect(202)?;
        Ok(())
    })
}

#[test]
fn a_rollback_is_checked_against_todays_policy() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        for _ in 0..2 {
            acme.deploy("web", json!({})).await?;
            pretend::succeed(skep.database.worker()).await?;
        }
        // As if the policy had allowed a quarter of a core when it was frozen.
        let owner = skep.database.owner();
        sql::execute(owner, "ALTER TABLE releases DISABLE TRIGGER releases_immutable").await?;
        sql::execute(
            owner,
            "UPDATE releases SET spec = jsonb_set(spec, '{cpu_millis}', '250') WHERE number = 1",
        )
        .await?;
        sql::execute(owner, "ALTER TABLE releases ENABLE TRIGGER releases_immutable").await?;
        let refused =
            acme.client.post(&acme.path("apps/web/rollback"), &json!({ "release": 1 })).await?;
        let problem = refused.problem(400, "invalid")?;
        assert_eq!(problem["violations"][0]["field"], "cpu");
        Ok(())
    })
}

#[test]
fn nobody_changes_a_release_not_even_the_owner() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        for change in [
            "spec = jsonb_set(spec, '{image}', '\"other:v1\"')",
            "number = 7",
            "resolved_image = 'sha256:other'",
            "resolved_image = NULL",
            "stable_at = now() + interval '1 hour'",
            "stable_at = NULL",
            "created_at = now() + interval '1 hour'",
        ] {
            let update = format!("UPDATE releases SET {change}");
            let error = sql::execute(skep.database.owner(), &update).await.unwrap_err();
            let told = format!("{error:#}");
            let words = ["immutable", "was resolved once", "is stable since"];
            assert!(words.iter().any(|word| told.contains(word)), "{change}: {told}");
        }
        let frozen = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        acme.patch_app("web", json!({ "image": "skep-demo:v2", "memory": 1024 })).await?;
        let later = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        assert_eq!(frozen, later, "a patch of the app changes no release");
        Ok(())
    })
}

#[test]
fn two_specs_are_compared_field_by_field() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let acme = skep.tenant("acme").await?;
        let mut spec = web();
        spec["env"] = json!({ "KEEP": "1", "DROP": "2" });
        acme.create_app("web", spec).await?;
        let diff =
            async |query: &str| acme.client.get(&acme.path(&format!("apps/web/diff{query}"))).await;
        // Before anything is live there is nothing to compare with.
        let problem = diff("").await?.problem(404, "not_found")?;
        assert!(text(&problem, "/detail")?.contains("no release of web is live"), "{problem}");
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let same = diff("").await?.expect(200)?;
        assert_eq!(same, json!({ "from": 1, "to": null, "changes": [] }));

        acme.patch_app("web", json!({ "memory": 1024, "env": { "DROP": null, "ADD": "3" } }))
            .await?;
        let line = |path: &str, before: Value, after: Value| json!({ "path": path, "before": before, "after": after });
        let changed = diff("").await?.expect(200)?;
        let patched = [
            line("env.ADD", json!(null), json!("3")),
            line("env.DROP", json!("2"), json!(null)),
            line("memory", json!(512), json!(1024)),
        ];
        assert_eq!(changed["changes"], json!(patched));

        acme.deploy("web", json!({ "image": "skep-demo:v2" })).await?;
        pretend::succeed(worker).await?;
        let both = diff("?from=1&to=2").await?.expect(200)?;
        assert_eq!((&both["from"], &both["to"]), (&1.into(), &2.into()));
        let paths: Vec<_> =
            both["changes"].as_array().unwrap().iter().map(|change| &change["path"]).collect();
        assert_eq!(paths, ["env.ADD", "env.DROP", "image", "memory", "resolved_image"]);
        let back = diff("?from=live&to=1").await?.expect(200)?;
        assert_eq!(back["changes"][3], line("memory", json!(1024), json!(512)));
        assert_eq!(diff("?from=2&to=live").await?.expect(200)?["changes"], json!([]));
        assert_eq!(diff("?from=draft").await?.expect(200)?["changes"], json!([]));

        for (query, field) in
            [("?from=0", "from"), ("?to=v1", "to"), ("?from=1&from=2", "from"), ("?with=1", "with")]
        {
            let problem = diff(query).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field, "{query}: {problem}");
        }
        for absent in ["?from=9", "?to=9999999999"] {
            diff(absent).await?.problem(404, "not_found")?;
        }
        Ok(())
    })
}
