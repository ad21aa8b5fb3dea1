//! Two hundred environments on one cluster: how long each takes, and what they cost the nodes.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::rig::{memory_of, run_on_all_of_rig};
use tests::{Outcome, Tenant};

use crate::specs::web;

const ORGANIZATIONS: usize = 8;
const ENVIRONMENTS: usize = 25;
/// So many are compared, of the first and of the last.
const LOOK: usize = 24;
/// The range that they are carved from, beside the test's own: a test's range holds sixteen.
const POOL: &str = "10.16.0.0/16";

#[test]
#[ignore = "takes minutes: ./dev rig"]
fn two_hundred_environments_with_an_app_each() -> Outcome {
    // Each app reserves a fortieth of a processor: on two nodes, there is room for 160.
    run_on_all_of_rig(true, async |rig, skep| {
        skep.start_worker().await?;
        let body = json!({ "range": POOL });
        skep.operator.post("/v1/admin/subnet-pools", &body).await?.expect(201)?;
        let mut tenants = Vec::new();
        for organization in 0..ORGANIZATIONS {
            tenants.push(skep.tenant(&format!("org{organization}")).await?);
        }
        let memory = || -> Result<Vec<u64>> { rig.nodes().iter().map(memory_of).collect() };
        let before = memory()?;
        let begun = Instant::now();
        let mut took = Vec::new();
        for number in 0..ENVIRONMENTS {
            // One of each organization at once.
            let making = tenants.iter().map(|tenant| environment_with_app(tenant, number));
            took.extend(try_join_all(making).await?);
            let done = (number + 1) * ORGANIZATIONS;
            if done.is_multiple_of(40) {
                println!("{done} environments after {:.0} s", begun.elapsed().as_secs_f32());
            }
        }
        let after = memory()?;
        let first = median(&took[..LOOK]);
        let last = median(&took[took.len() - LOOK..]);
        println!(
            "{} environments, each with an app, in {:.0} s, {ORGANIZATIONS} at once: from an environment that is asked for to \
             an app that is live {:.1} s (median of the first {LOOK}), {:.1} s (of the last {LOOK})",
            took.len(),
            begun.elapsed().as_secs_f32(),
            first.as_secs_f32(),
            last.as_secs_f32()
        );
        for (node, (before, after)) in rig.nodes().iter().zip(before.iter().zip(&after)) {
            let megabytes = |bytes: u64| bytes / (1 << 20);
            println!(
                "node {}: {} MB before, {} MB with them",
                node.number,
                megabytes(*before),
                megabytes(*after)
            );
        }
        assert!(last < first * 3, "the last took {last:?}, the first {first:?}");
        Ok(())
    })
}

/// From an environment that is asked for to an app that is live in it.
async fn environment_with_app(tenant: &Tenant, number: usize) -> Result<Duration> {
    let begun = Instant::now();
    let slug = format!("e{number}");
    let path = format!("{}/environments", tenant.home());
    tenant.client.post(&path, &json!({ "slug": slug })).await?.expect(201)?;
    let within = tenant.within(&slug);
    let mut spec = web("v1");
    // Two hundred checks a second would be all that the machine does.
    spec["health_check"] = Value::Null;
    within.create_app("web", spec).await?;
    within.deploy_live("web", json!({})).await?;
    Ok(begun.elapsed())
}

fn median(of: &[Duration]) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
