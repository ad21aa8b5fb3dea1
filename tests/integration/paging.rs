//! Keyset paging: each row once, whatever comes meanwhile.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::{Client, Outcome, run, sql};

use crate::web;

/// Walks a list to its end, `meanwhile` after each page; the rows' ids in order.
async fn walk(
    client: &Client,
    path: &str,
    limit: usize,
    meanwhile: impl AsyncFn(usize) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut next = format!("{path}?limit={limit}");
    for page in 0.. {
        let found = client.get(&next).await?.expect(200)?;
        let items = list(&found, "/items")?;
        anyhow::ensure!(items.len() <= limit && page < 100, "{found}");
        for item in items {
            ids.push(text(item, "/id")?.to_owned());
        }
        let Some(cursor) = found["next_cursor"].as_str() else { break };
        next = format!("{path}?limit={limit}&cursor={cursor}");
        meanwhile(page).await?;
    }
    Ok(ids)
}

#[test]
fn apps_are_walked_once_each_oldest_first_while_new_ones_come() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let mut made = Vec::new();
        for number in 0..13 {
            let app = acme.create_app(&format!("app-{number}"), web()).await?;
            made.push(text(&app, "/id")?.to_owned());
        }
        let seen = walk(&acme.client, &acme.path("apps"), 3, async |page| {
            if page < 3 {
                acme.create_app(&format!("late-{page}"), web()).await?;
            }
            Ok(())
        })
        .await?;
        assert_eq!(&seen[..made.len()], &made, "those that were there, each once, in order");
        assert_eq!(seen.len(), 16, "and those that came behind the cursor");
        Ok(())
    })
}

#[test]
fn deployments_and_releases_are_walked_newest_first() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let mut made = Vec::new();
        for _ in 0..7 {
            made.push(text(&acme.deploy("web", json!({})).await?, "/id")?.to_owned());
        }
        made.reverse();
        let path = acme.path("apps/web/deployments");
        let seen = walk(&acme.client, &path, 2, async |_| {
            // Comes before the page that was read: a walk downwards never sees it.
            acme.deploy("web", json!({})).await.map(drop)
        })
        .await?;
        assert_eq!(seen, made);
        let path = acme.path("apps/web/releases?limit=100");
        let releases = acme.client.get(&path).await?.expect(200)?;
        let numbers: Vec<&Value> =
            list(&releases, "/items")?.iter().map(|item| &item["number"]).collect();
        assert_eq!(numbers, (1..=10).rev().collect::<Vec<i32>>());
        Ok(())
    })
}

/// 3,000 apps more for acme, and 300 tenants with five.
const CROWD: &str = "
    INSERT INTO organizations (id, slug, name)
        SELECT gen_random_uuid(), 'org-' || g, 'x' FROM generate_series(1, 300) AS g;
    INSERT INTO environments (id, organization_id, slug)
        SELECT gen_random_uuid(), id, 'production' FROM organizations WHERE slug <> 'acme';
    INSERT INTO apps (id, organization_id, environment_id, slug, service_name, spec, spec_version, replicas)
        SELECT gen_random_uuid(), o.id, e.id, 'app-' || a, o.slug || '-' || a, web.spec, web.spec_version, 1
        FROM apps AS web, organizations AS o JOIN environments AS e ON e.organization_id = o.id,
            LATERAL generate_series(1, CASE o.slug WHEN 'acme' THEN 3000 ELSE 5 END) AS a;
    INSERT INTO app_status (app_id, organization_id, health, desired, running, tasks, since, observed_at)
        SELECT id, organization_id, 'stopped', 0, 0, '[]', now(), now() FROM apps;";

#[test]
fn a_page_costs_what_it_holds_however_crowded_the_environment_is() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let owner = skep.database.owner();
        sql::scripts(owner, &[CROWD, "ANALYZE"]).await?;
        // Postgres looks for the status of each app that it puts on a page, and tells how often it has
        // looked within a second or so.
        let looks = async || {
            let counted = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'app_status'";
            sql::row(owner, counted).await?["idx_scan"].as_i64().context("a count")
        };
        let (before, begun, path) = (looks().await?, Instant::now(), acme.path("apps?limit=50"));
        for pages in 1.. {
            acme.client.get(&path).await?.expect(200)?;
            let looked = looks().await? - before;
            if looked > 0 {
                // Its planner looks at an index now and then, too.
                assert!(looked <= pages * 100, "{looked} apps were looked at for {pages} pages");
                break;
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "Postgres tells nothing");
        }
        Ok(())
    })
}

#[test]
fn organizations_are_walked_by_operators() -> Outcome {
    run(async |skep| {
        let mut made = Vec::new();
        for slug in ["one", "two", "three", "four", "five"] {
            made.push(text(&skep.tenant(slug).await?.organization, "/id")?.to_owned());
        }
        let seen = walk(&skep.operator, "/v1/organizations", 2, async |_| Ok(())).await?;
        assert_eq!(seen, made);
        Ok(())
    })
}

#[test]
fn bad_limits_cursors_and_parameters_are_told() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=-1", "limit"),
            ("limit=many", "limit"),
            ("cursor=nowhere", "cursor"),
            ("limt=3", "limt"),
        ] {
            let answer = acme.client.get(&acme.path(&format!("apps?{query}"))).await?;
            let problem = answer.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field, "{query}: {problem}");
        }
        Ok(())
    })
}
