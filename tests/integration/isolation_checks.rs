//! Isolation checks as operators ask for them. What the probes find is tried in Swarm.

use std::time::Duration;

use db::isolation_checks::{isolation_check_claim, isolation_check_end, isolation_check_schedule};
use model::isolation_check::{Expectation, Finding, IsolationVerdict};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::{Outcome, run, sql};

use crate::web;

const CHECKS: &str = "/v1/admin/isolation-checks";

#[test]
fn is_asked_for_run_and_read_with_its_evidence() -> Outcome {
    run(async |skep| {
        skep.tenant("acme").await?;
        skep.tenant("globex").await?;
        let body = json!({ "organizations": ["acme", "globex"] });
        let made = skep.operator.post_once(CHECKS, &body, "key").await?.expect(202)?;
        let again = skep.operator.post_once(CHECKS, &body, "key").await?.expect(202)?;
        assert_eq!(made, again);
        assert_eq!((&made["status"], &made["verdict"]), (&json!("queued"), &Value::Null));
        let path = format!("{CHECKS}/{}", text(&made, "/id")?);
        assert_eq!(skep.operator.get(&path).await?.expect(200)?["findings"], json!([]));

        let worker = skep.database.worker();
        let claimed = isolation_check_claim(worker).await?.expect("one waits");
        assert!(isolation_check_claim(worker).await?.is_none(), "another worker has it");
        assert_eq!(skep.operator.get(&path).await?.expect(200)?["status"], "running");
        // Its worker is gone: the next one takes it up.
        let gone = "UPDATE isolation_checks SET claimed_until = now() - interval '1 second'";
        sql::execute(skep.database.owner(), gone).await?;
        let again = isolation_check_claim(worker).await?.expect("it waits again");
        assert_eq!(claimed.id, again.id);
        let finding = Finding {
            from: "acme/production".into(),
            node: "node-1".into(),
            to: Some("globex/production".into()),
            probe: "tcp".into(),
            target: "10.64.1.2:4242".into(),
            expected: Expectation::Silence,
            outcome: "silent".into(),
            as_expected: true,
        };
        let verdict = IsolationVerdict::Isolated;
        let late = IsolationVerdict::Inconclusive;
        isolation_check_end(worker, &claimed, late, "too late", &[]).await?;
        isolation_check_end(worker, &again, verdict, "none got across", &[finding]).await?;
        let ended = skep.operator.get(&path).await?.expect(200)?;
        assert_eq!((&ended["status"], &ended["verdict"]), (&json!("ended"), &json!("isolated")));
        assert_eq!(ended["findings"][0]["target"], "10.64.1.2:4242");
        let listed = skep.operator.get(CHECKS).await?.expect(200)?;
        assert_eq!(list(&listed, "/items")?.len(), 1);
        assert_eq!(listed["items"][0]["sentence"], "none got across");
        Ok(())
    })
}

#[test]
fn what_cannot_be_checked_is_told() -> Outcome {
    run(async |skep| {
        skep.tenant("acme").await?;
        let ask = async |body: Value| skep.operator.post(CHECKS, &body).await;
        for bad in [
            json!({ "organizations": ["acme"] }),
            json!({ "organizations": ["acme", "acme"] }),
            json!({ "sample": 1 }),
            json!({ "sample": 5 }),
        ] {
            ask(bad).await?.problem(400, "invalid")?;
        }
        ask(json!({ "organizations": ["acme", "initech"] })).await?.problem(404, "not_found")?;
        ask(json!({ "sample": 2 })).await?.problem(409, "nothing_deployed")?;
        ask(json!({})).await?.problem(409, "nothing_deployed")?;
        assert_eq!(sql::count(skep.database.owner(), "isolation_checks").await?, 0);
        Ok(())
    })
}

#[test]
fn is_made_by_the_clock_once_and_of_different_organizations() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let (day, owner) = (Duration::from_secs(86_400), skep.database.owner());
        for slug in ["acme", "globex"] {
            isolation_check_schedule(worker, day).await?;
            assert_eq!(sql::count(owner, "isolation_checks").await?, 0, "one is not two");
            let tenant = skep.tenant(slug).await?;
            tenant.create_app("web", web()).await?;
            tenant.deploy("web", json!({})).await?;
        }
        let at_once = (0..4).map(|_| isolation_check_schedule(worker, day));
        futures::future::try_join_all(at_once).await?;
        let made =
            sql::row(owner, "SELECT environments, requested_by FROM isolation_checks").await?;
        assert_eq!(made["environments"].as_array().map(Vec::len), Some(2), "{made:#}");
        assert_eq!(made["requested_by"], Value::Null);
        let old = "UPDATE isolation_checks SET created_at = now() - interval '25 hours'";
        sql::execute(owner, old).await?;
        isolation_check_schedule(worker, day).await?;
        assert_eq!(sql::count(owner, "isolation_checks").await?, 2);
        Ok(())
    })
}
