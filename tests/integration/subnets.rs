//! Subnets: every environment's own, whatever happens at once.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use ipnet::Ipv4Net;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::{Outcome, run, sql};

#[test]
fn never_overlap_under_concurrent_creations() -> Outcome {
    run(async |skep| {
        // Room for 64: a /18 that this database alone knows; nothing of it reaches Swarm.
        sql::execute(
            skep.database.owner(),
            "UPDATE subnet_pools SET range = '10.64.0.0/18', cursor = '10.64.0.0'",
        )
        .await?;
        let makers = (0..32).map(async |number| {
            let body = json!({ "slug": format!("org-{number}") });
            skep.operator.post("/v1/organizations", &body).await?.expect(201)
        });
        let made = try_join_all(makers).await?;
        assert_eq!(made.len(), 32);
        let rows = sql::rows(skep.database.owner(), "SELECT subnet::text FROM networks").await?;
        let subnets: BTreeSet<Ipv4Net> = rows
            .iter()
            .map(|row| Ok(text(row, "/subnet")?.parse()?))
            .collect::<anyhow::Result<_>>()?;
        assert_eq!(subnets.len(), 32);
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
        assert!(detail.contains("/24") && detail.contains(" 2 "), "{detail}");
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
