//! Environments: made with a network of their own, read by slug or id within their organization, removed when no app is
//! in them.

use anyhow::ensure;
use futures::future::try_join_all;
use model::environment::{MAX_ENVIRONMENTS, MAX_SUBNETS};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::{Client, Outcome, Tenant, run, sql};

use crate::web;

fn environments(tenant: &Tenant) -> String {
    format!("{}/environments", tenant.home())
}

async fn make(tenant: &Tenant, body: Value) -> anyhow::Result<Value> {
    tenant.client.post(&environments(tenant), &body).await?.expect(201)
}

async fn slugs(tenant: &Tenant) -> anyhow::Result<Vec<String>> {
    let found = tenant.client.get(&environments(tenant)).await?.expect(200)?;
    list(&found, "/items")?.iter().map(|item| Ok(text(item, "/slug")?.to_owned())).collect()
}

#[test]
fn is_found_by_slug_and_by_id() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let environments = environments(&acme);
        let by_slug = acme.client.get(&format!("{environments}/production")).await?.expect(200)?;
        let id = text(&by_slug, "/id")?;
        let by_id = acme.client.get(&format!("{environments}/{id}")).await?.expect(200)?;
        assert_eq!(by_slug, by_id);
        let absent = acme.client.get(&format!("{environments}/staging")).await?;
        absent.problem(404, "not_found")?;
        // An id of another kind is no environment, and no error of ours.
        let wrong = format!("{environments}/{}", text(&acme.organization, "/id")?);
        acme.client.get(&wrong).await?.problem(404, "not_found")?;
        Ok(())
    })
}

#[test]
fn is_made_with_a_network_of_its_own() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let usual = make(&acme, json!({ "slug": "staging" })).await?;
        assert!(text(&usual, "/network/subnet")?.ends_with("/24"), "{usual:#}");
        assert_eq!(usual["network"]["access"], "egress");
        assert_eq!(usual["network"]["encrypted"], true);
        assert!(text(&usual, "/network/name")?.starts_with("env-"), "{usual:#}");
        let network = json!({ "prefix": 26, "mtu": 1400, "access": "internal" });
        let chosen = make(&acme, json!({ "slug": "dev1", "network": network })).await?;
        assert!(text(&chosen, "/network/subnet")?.ends_with("/26"), "{chosen:#}");
        assert_eq!(chosen["network"]["mtu"], 1400);
        assert_eq!(chosen["network"]["access"], "internal");
        assert_eq!(slugs(&acme).await?, ["production", "staging", "dev1"]);
        let path = format!("{}/dev1", environments(&acme));
        assert_eq!(acme.client.get(&path).await?.expect(200)?, chosen);
        let audit = sql::row(
            skep.database.owner(),
            "SELECT * FROM audit_log WHERE action = 'environment.create' ORDER BY id DESC LIMIT 1",
        )
        .await?;
        assert_eq!(audit["after"]["network"]["access"], "internal");
        Ok(())
    })
}

#[test]
fn a_repeated_request_makes_one() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let body = json!({ "slug": "staging" });
        let first = acme.client.post_once(&environments(&acme), &body, "key").await?.expect(201)?;
        let again = acme.client.post_once(&environments(&acme), &body, "key").await?.expect(201)?;
        assert_eq!(first, again);
        assert_eq!(slugs(&acme).await?, ["production", "staging"]);
        Ok(())
    })
}

#[test]
fn what_cannot_be_is_told_and_nothing_is_made() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let path = environments(&acme);
        let ask = async |body: Value| acme.client.post(&path, &body).await;
        ask(json!({ "slug": "production" })).await?.problem(409, "already_exists")?;
        for (field, body) in [
            ("slug", json!({ "slug": "platform" })),
            ("slug", json!({ "slug": "Staging" })),
            ("prefix", json!({ "slug": "staging", "network": { "prefix": 21 } })),
            ("prefix", json!({ "slug": "staging", "network": { "prefix": 27 } })),
            ("mtu", json!({ "slug": "staging", "network": { "mtu": 575 } })),
            ("mtu", json!({ "slug": "staging", "network": { "mtu": 9217 } })),
            ("access", json!({ "slug": "staging", "network": { "access": "host" } })),
            ("subnet", json!({ "slug": "staging", "network": { "subnet": "10.0.0.0/24" } })),
        ] {
            let problem = ask(body).await?.problem(400, "invalid")?;
            assert!(problem["violations"].to_string().contains(field), "{field}: {problem:#}");
        }
        assert_eq!(slugs(&acme).await?, ["production"]);
        assert_eq!(sql::count(skep.database.owner(), "networks").await?, 1);
        Ok(())
    })
}

#[test]
fn there_are_so_many_and_no_more() -> Outcome {
    run(async |skep| {
        // A /19 holds them all, as /26.
        let pool = "UPDATE subnet_pools SET range = '10.64.0.0/19', cursor = '10.64.0.0'";
        sql::execute(skep.database.owner(), pool).await?;
        let acme = skep.tenant("acme").await?;
        let path = environments(&acme);
        let made = (0..MAX_ENVIRONMENTS + 3).map(async |number| {
            let body = json!({ "slug": format!("e{number}"), "network": { "prefix": 26 } });
            Ok::<_, anyhow::Error>(acme.client.post(&path, &body).await?.status)
        });
        let made = try_join_all(made).await?;
        let count = |status| made.iter().filter(|found| **found == status).count() as i64;
        // `production` is one of them.
        assert_eq!((count(201), count(409)), (MAX_ENVIRONMENTS - 1, 4), "{made:?}");
        let refused = acme.client.post(&path, &json!({ "slug": "more" })).await?;
        refused.problem(409, "too_many")?;
        Ok(())
    })
}

#[test]
fn is_removed_and_its_slug_is_free() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let first = make(&acme, json!({ "slug": "staging" })).await?;
        let path = format!("{}/staging", environments(&acme));
        acme.client.delete(&path).await?.expect(204)?;
        let by_id = format!("{}/{}", environments(&acme), text(&first, "/id")?);
        for gone in [&path, &by_id] {
            acme.client.get(gone).await?.problem(404, "not_found")?;
            acme.client.delete(gone).await?.problem(404, "not_found")?;
            let mut app = web();
            app["slug"] = "web".into();
            acme.client.post(&format!("{gone}/apps"), &app).await?.problem(404, "not_found")?;
            acme.client.get(&format!("{gone}/apps")).await?.problem(404, "not_found")?;
        }
        assert_eq!(slugs(&acme).await?, ["production"]);
        let second = make(&acme, json!({ "slug": "staging" })).await?;
        assert_ne!(first["id"], second["id"]);
        assert_ne!(first["network"]["subnet"], second["network"]["subnet"]);
        let retired = "networks WHERE retired_at IS NOT NULL";
        assert_eq!(sql::count(skep.database.owner(), retired).await?, 1);
        Ok(())
    })
}

#[test]
fn is_not_removed_while_an_app_is_in_it() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        make(&acme, json!({ "slug": "staging" })).await?;
        let path = format!("{}/staging", environments(&acme));
        for slug in ["web", "api", "mail", "jobs", "cache", "queue"] {
            let mut app = web();
            app["slug"] = slug.into();
            acme.client.post(&format!("{path}/apps"), &app).await?.expect(201)?;
        }
        let problem = acme.client.delete(&path).await?.problem(409, "in_use")?;
        let detail = text(&problem, "/detail")?;
        ensure!(
            detail.contains("6 apps") && detail.contains("api, cache, jobs, mail, queue, …"),
            "{detail}"
        );
        let removed = "UPDATE apps SET removed_at = now(), removal_requested_at = now()";
        sql::execute(skep.database.owner(), removed).await?;
        acme.client.delete(&path).await?.expect(204)?;
        Ok(())
    })
}

#[test]
fn production_ends_with_its_organization() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let path = format!("{}/production", environments(&acme));
        acme.client.delete(&path).await?.problem(409, "not_removable")?;
        acme.client.get(&path).await?.expect(200)?;
        Ok(())
    })
}

#[test]
fn no_app_comes_into_one_that_is_being_removed() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let path = format!("{}/staging", environments(&acme));
        let (mut made, mut removed) = (0, 0);
        for round in 0..20 {
            make(&acme, json!({ "slug": "staging", "network": { "prefix": 26 } })).await?;
            let mut app = web();
            app["slug"] = "web".into();
            let apps = format!("{path}/apps");
            let (created, deleted) = if round % 2 == 0 {
                tokio::try_join!(acme.client.post(&apps, &app), acme.client.delete(&path))?
            } else {
                let (deleted, created) =
                    tokio::try_join!(acme.client.delete(&path), acme.client.post(&apps, &app))?;
                (created, deleted)
            };
            match (created.status, deleted.status) {
                (201, 409) => made += 1,
                (404, 204) => removed += 1,
                other => anyhow::bail!("{other:?}"),
            }
            let lost = "apps a JOIN environments e ON e.id = a.environment_id
                WHERE a.removed_at IS NULL AND e.removed_at IS NOT NULL";
            assert_eq!(sql::count(skep.database.owner(), lost).await?, 0);
            let clear = "UPDATE apps SET removed_at = now(), removal_requested_at = now()";
            sql::execute(skep.database.owner(), clear).await?;
            acme.client.delete(&path).await?;
        }
        assert_eq!(made + removed, 20);
        Ok(())
    })
}

#[test]
fn a_token_that_was_bound_to_one_does_not_reach_the_next_of_its_name() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        make(&acme, json!({ "slug": "staging" })).await?;
        let path = format!("{}/staging", environments(&acme));
        let wanted = json!({ "name": "ci", "environments": ["staging"] });
        let tokens = format!("{}/tokens", acme.home());
        let made = skep.operator.post(&tokens, &wanted).await?.expect(201)?;
        let bound: Client = acme.client.with_token(Some(text(&made, "/secret")?));
        bound.get(&path).await?.expect(200)?;
        acme.client.delete(&path).await?.expect(204)?;
        make(&acme, json!({ "slug": "staging" })).await?;
        sql::execute(skep.database.owner(), "NOTIFY skep_credentials").await?;
        tests::wait_for(
            "the token's memory to end",
            std::time::Duration::from_secs(5),
            async || Ok((bound.get(&path).await?.status == 404).then_some(())),
        )
        .await
    })
}

#[test]
fn who_makes_and_removes_over_and_over_is_stopped() -> Outcome {
    run(async |skep| {
        let owner = skep.database.owner();
        let pool = "UPDATE subnet_pools SET range = '10.64.0.0/16', cursor = '10.64.0.0'";
        sql::execute(owner, pool).await?;
        let acme = skep.tenant("acme").await?;
        let path = format!("{}/staging", environments(&acme));
        for _ in 0..MAX_SUBNETS - 1 {
            make(&acme, json!({ "slug": "staging" })).await?;
            acme.client.delete(&path).await?.expect(204)?;
        }
        let ask =
            async || acme.client.post(&environments(&acme), &json!({ "slug": "staging" })).await;
        ask().await?.problem(409, "too_many")?;
        let network = acme.path("network");
        acme.client.put(&network, &json!({})).await?.problem(409, "too_many")?;
        // None leaves at once.
        let retired = db::networks::networks_retired(skep.database.worker(), 100).await?;
        ensure!(retired.is_empty(), "{retired:?}");
        sql::execute(owner, "UPDATE networks SET retired_at = now() - interval '1 minute' WHERE retired_at IS NOT NULL").await?;
        for retired in db::networks::networks_retired(skep.database.worker(), 100).await? {
            db::networks::network_gone(skep.database.worker(), retired.id).await?;
        }
        ask().await?.problem(409, "too_many")?;
        assert_eq!(sql::count(owner, "networks").await?, 1);
        sql::execute(owner, "UPDATE resting_subnets SET until = now()").await?;
        ask().await?.expect(201)?;
        Ok(())
    })
}
