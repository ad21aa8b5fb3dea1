//! Organizations: born with an environment and a network of their own.

use db::deletions::endings_due;
use model::reason::ReasonCode;
use model::status::Status;
use serde_json::json;
use tests::answer::text;
use tests::{Outcome, pretend, run, sql};

use crate::web;

#[test]
fn is_born_with_production_and_a_network_row_of_its_own() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        assert_eq!(acme.organization["name"], "acme", "the slug, where no name is given");
        let path = format!("{}/environments", acme.home());
        let list = acme.client.get(&path).await?.expect(200)?;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list:#}");
        let environment = &list["items"][0];
        assert_eq!(environment["slug"], "production");
        let subnet: ipnet::Ipv4Net = text(environment, "/network/subnet")?.parse()?;
        assert!(skep.subnets().contains(&subnet), "{subnet}");
        assert_eq!(subnet.prefix_len(), 24);
        let id = text(&acme.organization, "/id")?.trim_start_matches("org_").to_owned();
        assert_eq!(environment["network"]["name"], format!("org-{id}-network"));
        let row = sql::row(skep.database.owner(), "SELECT subnet::text, mtu FROM networks").await?;
        assert_eq!(row, json!({ "subnet": subnet.to_string(), "mtu": null }));
        Ok(())
    })
}

#[test]
fn a_slug_is_taken_once() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let again = json!({ "slug": "acme", "name": "Another" });
        let problem = skep.operator.post("/v1/organizations", &again).await?;
        let problem = problem.problem(409, "already_exists")?;
        assert!(text(&problem, "/detail")?.contains("acme"), "{problem}");
        // Nothing of the refused one is left: no second environment, no subnet taken.
        for table in ["organizations", "environments", "networks"] {
            assert_eq!(sql::count(skep.database.owner(), table).await?, 1, "{table}");
        }
        let found = acme.client.get(&acme.home()).await?.expect(200)?;
        assert_eq!(found["name"], "acme");
        Ok(())
    })
}

#[test]
fn is_found_by_slug_and_by_id() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let by_id = format!("/v1/organizations/{}", text(&acme.organization, "/id")?);
        for client in [&acme.client, &skep.operator] {
            let one = client.get(&acme.home()).await?.expect(200)?;
            let other = client.get(&by_id).await?.expect(200)?;
            assert_eq!(one, other);
            assert_eq!(one, acme.organization);
        }
        let absent = skep.operator.get("/v1/organizations/nobody").await?;
        absent.problem(404, "not_found")?;
        Ok(())
    })
}

#[test]
fn bad_slugs_and_names_are_told_and_nothing_is_made() -> Outcome {
    run(async |skep| {
        let long = "a".repeat(41);
        for slug in ["", "Acme", "a_b", "-a", "a-", "1a", "a b", "ä", "a\u{0}", &long] {
            let answer = skep.operator.post("/v1/organizations", &json!({ "slug": slug })).await?;
            let problem = answer.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], "slug", "{slug:?}: {problem}");
            assert!(!text(&problem, "/violations/0/rule")?.is_empty());
        }
        for name in ["", "line\nbreak", "nul\u{0}", &"n".repeat(201)] {
            let body = json!({ "slug": "acme", "name": name });
            let problem =
                skep.operator.post("/v1/organizations", &body).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], "name", "{name:?}: {problem}");
        }
        assert_eq!(sql::count(skep.database.owner(), "organizations").await?, 0);
        Ok(())
    })
}

#[test]
fn one_that_was_asked_for_before_it_was_made_is_there_at_once() -> Outcome {
    run(async |skep| {
        skep.operator.get("/v1/organizations/acme").await?.problem(404, "not_found")?;
        let body = json!({ "slug": "acme" });
        skep.operator.post("/v1/organizations", &body).await?.expect(201)?;
        skep.operator.get("/v1/organizations/acme").await?.expect(200)?;
        Ok(())
    })
}

#[test]
fn the_end_asks_for_a_stuck_removal_again_a_minute_later() -> Outcome {
    run(async |skep| {
        let (owner, worker) = (skep.database.owner(), skep.database.worker());
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(worker).await?;
        let path = format!("{}/deletion", acme.home());
        skep.operator.post(&path, &json!({ "grace_hours": 0 })).await?.expect(202)?;
        let asked_for = async || {
            let due = endings_due(worker, 10).await?;
            anyhow::Ok(due.iter().map(|ending| ending.apps.len()).sum::<usize>())
        };
        assert_eq!(asked_for().await?, 1, "nobody removes it yet");
        skep.operator.delete(&acme.path("apps/web")).await?.expect(202)?;
        assert_eq!(asked_for().await?, 0, "it is being removed");
        let claim = pretend::claim(worker).await?;
        let stuck = pretend::transition(Status::Stuck, Some(ReasonCode::ProgressDeadline));
        pretend::go(worker, claim, Status::Provisioning, stuck).await?;
        assert_eq!(asked_for().await?, 0, "it has just failed");
        let before = "UPDATE deployments SET finished_at = now() - interval '61 seconds'
            WHERE kind = 'remove'";
        sql::scripts(owner, &[&format!("ALTER TABLE deployments DISABLE TRIGGER USER; {before}")])
            .await?;
        assert_eq!(asked_for().await?, 1, "a minute later");
        Ok(())
    })
}
