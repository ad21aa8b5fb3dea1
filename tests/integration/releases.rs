//! Releases: immutable, numbered, and deployable again while they are kept.

use serde_json::json;
use tests::answer::text;
use tests::{Outcome, pretend, run, sql};

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
        assert_eq!(acme.rollback("web", json!({ "release": 3 })).await?["release"], 3);
        // Its row stays, as history.
        acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
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
