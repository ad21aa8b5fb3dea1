//! What workers hear of the nodes: how many there are, and what they route elsewhere.

use std::time::Duration;

use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::rig::run_on_rig;
use tests::{Outcome, wait_for, wait_until};

use crate::specs::image;

/// The first look at everything, with a container on each node; more than a busy machine needs.
const LOOKED: Duration = Duration::from_secs(90);

#[test]
fn what_a_node_routes_elsewhere_is_given_to_no_network() -> Outcome {
    run_on_rig(async |rig, skep| {
        // The lower half of where this installation's networks are carved from, and something of no pool.
        let half = skep.subnets().subnets(21)?.next().unwrap_or_default();
        for route in [half.to_string(), "198.51.100.0/24".to_owned()] {
            let command = format!("ip route add {route} via $(hostname -I | cut -d' ' -f1)");
            rig.node(2).engine.shell(&image("v1"), &command).await?;
        }
        skep.start_worker().await?;
        let ranges = wait_for("both routes to be reserved", LOOKED, async || {
            let found = skep.operator.get("/v1/admin/reserved-ranges").await?.expect(200)?;
            let routes = list(&found, "/items")?.iter().filter(|range| range["source"] == "node");
            let routes: Vec<Value> = routes.cloned().collect();
            let is_there = |range: &str| routes.iter().any(|found| found["range"] == range);
            Ok((is_there(&half.to_string()) && is_there("198.51.100.0/24")).then_some(routes))
        })
        .await?;
        let told = ranges.iter().find(|range| range["range"] == half.to_string());
        let told = text(told.unwrap_or_default(), "/note")?.to_owned();
        println!("{half}: {told}");
        assert!(told.ends_with("rig2, by eth0"), "{told}");

        let pool = json!({ "range": "198.51.100.0/25" });
        let pool = skep.operator.post("/v1/admin/subnet-pools", &pool).await?;
        let problem = pool.problem(409, "overlap")?;
        assert!(text(&problem, "/detail")?.contains("198.51.100.0/24"), "{problem:#}");
        let acme = skep.tenant("acme").await?;
        let production = format!("{}/environments/production", acme.home());
        let production = acme.client.get(&production).await?.expect(200)?;
        let subnet: ipnet::Ipv4Net = text(&production, "/network/subnet")?.parse()?;
        assert!(!half.contains(&subnet), "{subnet} is in {half}");

        // Each node may take an address of each network.
        wait_until("three nodes to be reckoned with", LOOKED, async || {
            let view = acme.client.get(&acme.path("network")).await?.expect(200)?;
            Ok(view["capacity"]["nodes"] == 3)
        })
        .await?;
        let platform = skep.operator.get("/v1/admin/platform").await?.expect(200)?;
        assert_eq!((&platform["nodes"], &platform["encryption"]), (&json!(3), &json!("off")));
        let warnings = list(&platform, "/warnings")?;
        assert_eq!(warnings.len(), 1, "{platform:#}");
        let worker = skep.workers().await;
        let warned = worker[0].log().iter().any(|line| line.contains("are not encrypted"));
        assert!(warned, "it warns of that at its start");
        Ok(())
    })
}
