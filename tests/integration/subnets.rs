//! Subnets: every environment's own, whatever happens at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use db::Database;
use db::reserved_ranges::{SeenRange, reserved_ranges_seen};
use futures::future::try_join_all;
use ipnet::Ipv4Net;
use model::subnet_pool::ReservedBy;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::environment::environment;
use tests::{Outcome, run, sql, wait_for};

#[test]
fn never_overlap_under_concurrent_creations() -> Outcome {
    run(async |skep| {
        // Room for all of them: a /17 that this database alone knows; nothing of it reaches Swarm.
        sql::execute(
            skep.database.owner(),
            "UPDATE subnet_pools SET range = '10.64.0.0/17', cursor = '10.64.0.0'",
        )
        .await?;
        let makers = (0..32).map(async |number| {
            let body = json!({ "slug": format!("org-{number}") });
            skep.operator.post("/v1/organizations", &body).await?.expect(201)?;
            let path = format!("/v1/organizations/org-{number}/tokens");
            let token = skep.operator.post(&path, &json!({ "name": "x" })).await?.expect(201)?;
            anyhow::Ok(skep.operator.with_token(Some(text(&token, "/secret")?)))
        });
        let clients = try_join_all(makers).await?;
        // 64 at once, two by each of them, in its own name: each sees its own networks only.
        let makers = (0..64).map(async |number| {
            let (owner, slug) = (number % 32, if number < 32 { "staging" } else { "testing" });
            let path = format!("/v1/organizations/org-{owner}/environments");
            let body = json!({ "slug": slug, "network": { "prefix": 23 + number % 4 } });
            clients[owner].post(&path, &body).await?.expect(201)
        });
        assert_eq!(try_join_all(makers).await?.len(), 64);
        let rows = sql::rows(skep.database.owner(), "SELECT subnet::text FROM networks").await?;
        let subnets: BTreeSet<Ipv4Net> = rows
            .iter()
            .map(|row| Ok(text(row, "/subnet")?.parse()?))
            .collect::<anyhow::Result<_>>()?;
        assert_eq!(subnets.len(), 96);
        for one in &subnets {
            let overlapping =
                subnets.iter().filter(|other| one.contains(*other) || other.contains(one));
            assert_eq!(overlapping.count(), 1, "{one}");
        }
        Ok(())
    })
}

#[test]
fn an_exhausted_pool_is_told_with_its_numbers() -> Outcome {
    run(async |skep| {
        sql::execute(
            skep.database.owner(),
            "UPDATE subnet_pools SET range = '10.64.0.0/23', cursor = '10.64.1.0'",
        )
        .await?;
        skep.tenant("one").await?;
        skep.tenant("two").await?;
        let full = skep.operator.post("/v1/organizations", &json!({ "slug": "three" })).await?;
        let problem = full.problem(409, "subnets_exhausted")?;
        let detail = text(&problem, "/detail")?;
        assert!(detail.contains("/24") && detail.contains(" 2,"), "{detail}");
        assert!(detail.contains("left are 0 of /25, 0 of /26"), "{detail}");
        // Half an organization would be worse than none.
        let found = skep.operator.get("/v1/organizations").await?.expect(200)?;
        let slugs: Vec<&Value> = list(&found, "/items")?.iter().map(|item| &item["slug"]).collect();
        assert_eq!(slugs, ["one", "two"]);
        Ok(())
    })
}

#[test]
fn postgres_itself_refuses_an_overlap() -> Outcome {
    run(async |skep| {
        skep.tenant("acme").await?;
        skep.tenant("globex").await?;
        let forced =
            "UPDATE networks SET subnet = (SELECT subnet FROM networks ORDER BY id LIMIT 1)";
        let error = sql::execute(skep.database.owner(), forced).await.unwrap_err();
        assert!(format!("{error:#}").contains("networks_subnet_excl"), "{error:#}");
        Ok(())
    })
}

#[test]
fn a_freed_subnet_rests_before_it_is_given_again() -> Outcome {
    run(async |skep| {
        let owner = skep.database.owner();
        let pool = "UPDATE subnet_pools SET range = '10.64.0.0/23', cursor = '10.64.0.0'";
        sql::execute(owner, pool).await?;
        let acme = skep.tenant("acme").await?;
        let path = format!("{}/environments", acme.home());
        let body = json!({ "slug": "staging" });
        let made = acme.client.post(&path, &body).await?.expect(201)?;
        acme.client.delete(&format!("{path}/staging")).await?.expect(204)?;
        // While its network may be in the swarm, and for a time afterwards.
        acme.client.post(&path, &body).await?.problem(409, "subnets_exhausted")?;
        let earlier = "UPDATE networks SET retired_at = now() - interval '1 minute' WHERE retired_at IS NOT NULL";
        sql::execute(owner, earlier).await?;
        for retired in db::networks::networks_retired(skep.database.worker(), 10).await? {
            db::networks::network_gone(skep.database.worker(), retired.id).await?;
        }
        assert_eq!(sql::count(owner, "networks").await?, 1);
        let problem = acme.client.post(&path, &body).await?.problem(409, "subnets_exhausted")?;
        assert!(text(&problem, "/detail")?.contains("minutes ago"), "{problem:#}");
        sql::execute(owner, "UPDATE resting_subnets SET until = now()").await?;
        let again = acme.client.post(&path, &body).await?.expect(201)?;
        assert_eq!(again["network"]["subnet"], made["network"]["subnet"]);
        Ok(())
    })
}

#[test]
fn what_is_reserved_is_given_to_nobody() -> Outcome {
    run(async |skep| {
        let pool = "UPDATE subnet_pools SET range = '10.64.0.0/22', cursor = '10.64.0.0'";
        sql::execute(skep.database.owner(), pool).await?;
        let ranges = "/v1/admin/reserved-ranges";
        // One by an operator, one that a worker found.
        let wanted = json!({ "range": "10.64.0.0/24", "note": "the office" });
        let reserved = skep.operator.post(ranges, &wanted).await?.expect(201)?;
        skep.operator.post(ranges, &wanted).await?.problem(409, "already_exists")?;
        let seen = [SeenRange { range: "10.64.2.0/23".parse()?, note: "docker0".to_owned() }];
        for _ in 0..2 {
            reserved_ranges_seen(skep.database.worker(), ReservedBy::Docker, &seen).await?;
        }
        let found = skep.operator.get(ranges).await?.expect(200)?;
        assert_eq!(list(&found, "/items")?.len(), 2);
        let acme = skep.tenant("acme").await?;
        let production = format!("{}/environments/production", acme.home());
        let production = acme.client.get(&production).await?.expect(200)?;
        assert_eq!(production["network"]["subnet"], "10.64.1.0/24");
        let full = skep.operator.post("/v1/organizations", &json!({ "slug": "globex" })).await?;
        full.problem(409, "subnets_exhausted")?;
        let docker = list(&found, "/items")?.iter().find(|item| item["source"] == "docker");
        let docker = docker.map(|item| format!("{ranges}/{}", item["id"].as_str().unwrap_or("")));
        skep.operator.delete(&docker.unwrap_or_default()).await?.problem(409, "in_use")?;
        skep.operator
            .delete(&format!("{ranges}/{}", text(&reserved, "/id")?))
            .await?
            .expect(204)?;
        let globex = skep.tenant("globex").await?;
        let production = format!("{}/environments/production", globex.home());
        let production = globex.client.get(&production).await?.expect(200)?;
        assert_eq!(production["network"]["subnet"], "10.64.0.0/24");
        // What was not seen for an hour is not there any more.
        let old = "UPDATE reserved_ranges SET seen_at = now() - interval '61 minutes'
            WHERE source = 'docker'";
        sql::execute(skep.database.owner(), old).await?;
        // Nor had anybody looked: what is seen now is there.
        reserved_ranges_seen(skep.database.worker(), ReservedBy::Docker, &seen).await?;
        assert_eq!(sql::count(skep.database.owner(), "reserved_ranges").await?, 1);
        sql::execute(skep.database.owner(), old).await?;
        // Who knows of other things only does not say that it is gone.
        reserved_ranges_seen(skep.database.worker(), ReservedBy::Node, &[]).await?;
        assert_eq!(sql::count(skep.database.owner(), "reserved_ranges").await?, 1);
        reserved_ranges_seen(skep.database.worker(), ReservedBy::Docker, &[]).await?;
        assert_eq!(sql::count(skep.database.owner(), "reserved_ranges").await?, 0);
        Ok(())
    })
}

#[test]
fn pools_are_added_used_up_and_taken_away() -> Outcome {
    run(async |skep| {
        let pool = "UPDATE subnet_pools SET range = '10.64.0.0/24', cursor = '10.64.0.0'";
        sql::execute(skep.database.owner(), pool).await?;
        skep.tenant("acme").await?;
        let pools = "/v1/admin/subnet-pools";
        let ask = async |range: &str| skep.operator.post(pools, &json!({ "range": range })).await;
        skep.operator
            .post(
                "/v1/admin/reserved-ranges",
                &json!({ "range": "10.96.0.0/12", "note": "office" }),
            )
            .await?
            .expect(201)?;
        for overlapping in ["10.64.0.0/16", "10.100.0.0/16", "10.0.0.0/8"] {
            let problem = ask(overlapping).await?.problem(409, "overlap")?;
            assert!(text(&problem, "/detail")?.contains("overlaps 10."), "{problem:#}");
        }
        for bad in ["10.64.1.0/27", "10.0.0.0/7", "300.0.0.0/16", "10.0.0.0/99", "10.0.0.0"] {
            ask(bad).await?.problem(400, "invalid")?;
        }
        ask("127.0.0.0/16").await?.problem(409, "overlap")?;
        let made = ask("10.65.0.0/22").await?.expect(201)?;
        let globex = skep.tenant("globex").await?;
        let production = format!("{}/environments/production", globex.home());
        let production = globex.client.get(&production).await?.expect(200)?;
        assert_eq!(production["network"]["subnet"], "10.65.0.0/24");
        let found = skep.operator.get(pools).await?.expect(200)?;
        let items = list(&found, "/items")?;
        assert_eq!(items.len(), 2);
        assert_eq!(items[0]["networks"], 1);
        assert_eq!(items[0]["free"]["26"], 0);
        assert_eq!(items[0]["full_in_days"], 0);
        assert_eq!(items[1]["free"], json!({ "22": 0, "23": 1, "24": 3, "25": 6, "26": 12 }));
        assert_eq!(items[1]["full_in_days"], 90);
        let path = format!("{pools}/{}", text(&made, "/id")?);
        skep.operator.delete(&path).await?.problem(409, "in_use")?;
        let third = ask("10.66.0.0/24").await?.expect(201)?;
        let path = format!("{pools}/{}", text(&third, "/id")?);
        skep.operator.delete(&path).await?.expect(204)?;
        skep.operator.delete(&path).await?.problem(404, "not_found")?;
        Ok(())
    })
}

/// Environments that one tenant makes and removes.
const STEPS: u32 = 20;

/// Asks until somebody answers: whoever is asked may lose its database meanwhile.
async fn insistently(
    ask: impl AsyncFn() -> anyhow::Result<tests::Answer>,
) -> anyhow::Result<tests::Answer> {
    wait_for("an answer", Duration::from_secs(30), async || {
        let answer = ask().await?;
        Ok((answer.status < 500).then_some(answer))
    })
    .await
}

/// Makes and removes environments in an order that the seed tells; how many are left.
async fn make_and_remove(tenant: &tests::Tenant, seed: u64) -> anyhow::Result<usize> {
    let mut random = fastrand::Rng::with_seed(seed);
    let environments = format!("{}/environments", tenant.home());
    let mut there: Vec<String> = Vec::new();
    for step in 0..STEPS {
        let key = format!("{}-{step}", tenant.slug);
        if there.is_empty() || random.f32() < 0.6 {
            let slug = format!("e{step}");
            let network = json!({ "prefix": random.u8(24..=26) });
            let body = json!({ "slug": slug, "network": network });
            let made =
                insistently(async || tenant.client.post_once(&environments, &body, &key).await);
            let made = made.await?;
            if made.status == 201 {
                there.push(slug);
            } else {
                made.problem(409, "subnets_exhausted")?;
            }
        } else {
            let path = format!("{environments}/{}", there.swap_remove(random.usize(..there.len())));
            insistently(async || tenant.client.delete_once(&path, &key).await)
                .await?
                .expect(204)?;
        }
    }
    Ok(there.len())
}

/// Ends a connection of the API's that is at work, again and again, and counts them. Not all at once: something has to be done meanwhile.
async fn crash_again_and_again(
    skep: &tests::Skep,
    crashed: &AtomicUsize,
) -> anyhow::Result<std::convert::Infallible> {
    let name = sql::row(skep.database.owner(), "SELECT current_database() AS name").await?;
    // Nobody else may end, or see, what another role is at.
    let admin = Database::new(environment().admin_url.clone().into(), 1)?;
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = '{}' AND usename = 'skep_api' AND state <> 'idle' LIMIT 1",
        text(&name, "/name")?
    );
    loop {
        let ended = sql::rows(&admin, &end).await?.len();
        crashed.fetch_add(ended, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

#[test]
fn in_any_order_and_whoever_crashes_nothing_overlaps_and_nothing_leaks() -> Outcome {
    run(async |skep| {
        let owner = skep.database.owner();
        let pool = "UPDATE subnet_pools SET range = '10.64.0.0/20', cursor = '10.64.0.0'";
        sql::execute(owner, pool).await?;
        let mut tenants = Vec::new();
        for number in 0..4 {
            tenants.push(skep.tenant(&format!("org-{number}")).await?);
        }
        let making =
            try_join_all((1..).zip(&tenants).map(|(seed, one)| make_and_remove(one, seed)));
        let crashed = AtomicUsize::new(0);
        let left: usize = tokio::select! {
            left = making => left?.into_iter().sum(),
            failed = crash_again_and_again(skep, &crashed) => match failed? {},
        };
        assert!(crashed.into_inner() > 0, "nobody crashed");

        let overlaps = "networks a JOIN networks b ON a.id < b.id AND a.subnet && b.subnet";
        assert_eq!(sql::count(owner, overlaps).await?, 0);
        let live = "networks WHERE retired_at IS NULL";
        let born = i64::try_from(left + tenants.len())?;
        assert_eq!(sql::count(owner, live).await?, born, "one for each environment that is there");
        assert_eq!(sql::count(owner, "environments WHERE removed_at IS NULL").await?, born);
        // Nothing leaks: what is removed leaves the swarm, rests, and is free.
        let earlier = "UPDATE networks SET retired_at = now() - interval '1 minute' WHERE retired_at IS NOT NULL";
        sql::execute(owner, earlier).await?;
        for retired in db::networks::networks_retired(skep.database.worker(), 1000).await? {
            db::networks::network_gone(skep.database.worker(), retired.id).await?;
        }
        sql::execute(owner, "UPDATE resting_subnets SET until = now()").await?;
        let pools = skep.operator.get("/v1/admin/subnet-pools").await?.expect(200)?;
        let free = pools.pointer("/items/0/free/26").and_then(Value::as_u64);
        let held =
            sql::row(owner, "SELECT sum(2 ^ (26 - masklen(subnet)))::bigint AS held FROM networks")
                .await?;
        assert_eq!(free, held["held"].as_u64().map(|held| 64 - held), "{pools:#}");
        Ok(())
    })
}
