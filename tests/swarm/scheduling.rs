//! Tasks that find no node or no address: the sentence says what is missing, with its figures.

use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::specs::web;
use tests::{Outcome, run, sql};

#[test]
fn more_than_any_node_has_is_told_with_its_figures() -> Outcome {
    run(async |skep| {
        // Everything is reserved: the largest replica then fits on no machine that is not larger.
        let all = "UPDATE platform SET cpu_reservation_ratio = 1, memory_reservation_ratio = 1";
        assert_eq!(sql::execute(skep.database.owner(), all).await?, 1);
        skep.start_worker().await?;
        let info = Engine::connect()?.get("/info").await?;
        let cores = info["NCPU"].as_i64().unwrap_or_default();
        let megabytes = info["MemTotal"].as_i64().unwrap_or_default() >> 20;
        let acme = skep.tenant("acme").await?;
        let deploy = async |slug: &str, field: &str, most: i64, has: i64| {
            let mut spec = web("v1");
            spec[field] = most.into();
            spec["replicas"] = (has / most + 1).into();
            spec["deadlines"] = json!({ "schedule": 10 });
            acme.create_app(slug, spec).await?;
            acme.deploy(slug, json!({})).await
        };
        let wide = deploy("wide", "cpu", 16, cores).await?;
        let deep = deploy("deep", "memory", 32768, megabytes).await?;
        for (deployment, lack, asked) in [
            (&wide, "16 CPU free", "16 CPU (16 reserved) and 256 MB (256 reserved)"),
            (&deep, "32768 MB free", "0.5 CPU (0.5 reserved) and 32768 MB (32768 reserved)"),
        ] {
            let ended = acme.wait_for(deployment, "failed", "unschedulable").await?;
            let sentence = text(&ended, "/reason/sentence")?;
            println!("{sentence}");
            assert!(sentence.contains(&format!("no node has {lack}; ")), "{sentence}");
            assert!(sentence.contains(&format!("it asks for {asked}")), "{sentence}");
            assert!(sentence.contains("the most that one node has free is "), "{sentence}");
            assert!(sentence.contains("insufficient resources on 1 node"), "{sentence}");
        }
        Ok(())
    })
}

#[test]
fn a_network_without_an_address_left_is_told() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        // Room for four tasks, where no tenant's network is as small.
        let owner = skep.database.owner();
        sql::execute(owner, "ALTER TABLE networks DROP CONSTRAINT networks_subnet_check").await?;
        let small = "UPDATE networks SET subnet = set_masklen(subnet, 29)";
        assert_eq!(sql::execute(owner, small).await?, 1);
        // And who counts them beforehand is mistaken: a node that joins takes addresses, too.
        let mistaken = "CREATE OR REPLACE FUNCTION network_capacity(subnet cidr) RETURNS integer
            LANGUAGE sql STABLE AS 'SELECT 1000'";
        sql::execute(owner, mistaken).await?;
        let mut spec = web("v1");
        spec["replicas"] = 8.into();
        spec["deadlines"] = json!({ "schedule": 10 });
        acme.create_app("web", spec).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "schedule_deadline").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        println!("{sentence}");
        assert!(sentence.contains("has no address left in "), "{sentence}");
        assert!(sentence.contains("/29"), "{sentence}");
        Ok(())
    })
}
