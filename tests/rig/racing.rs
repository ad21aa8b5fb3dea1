//! Two workers, each with a manager of its own, that make the same networks at the same time.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::future::try_join_all;
use serde_json::json;
use tests::Outcome;
use tests::answer::{list, text};
use tests::rig::run_on_rig;

use crate::specs::web;

/// Environments, and apps that are deployed at once in each.
const ENVIRONMENTS: usize = 8;
const APPS: usize = 2;

#[test]
#[ignore = "takes minutes: ./dev rig"]
fn two_workers_that_race_make_each_network_once() -> Outcome {
    run_on_rig(async |rig, skep| {
        rig.promote_all().await?;
        skep.start_worker_at(&rig.site_of(1)).await?;
        skep.start_worker_at(&rig.site_of(2)).await?;
        let acme = skep.tenant("acme").await?;
        let mut deployments = Vec::new();
        let begun = Instant::now();
        for number in 0..ENVIRONMENTS {
            let environment = format!("e{number}");
            let path = format!("{}/environments", acme.home());
            acme.client.post(&path, &json!({ "slug": environment })).await?.expect(201)?;
            let within = acme.within(&environment);
            for app in 0..APPS {
                within.create_app(&format!("web{app}"), web("v1")).await?;
            }
        }
        for number in 0..ENVIRONMENTS {
            let within = acme.within(&format!("e{number}"));
            for app in 0..APPS {
                let deployment = within.deploy(&format!("web{app}"), json!({})).await?;
                deployments.push((within.clone(), deployment));
            }
        }
        let waiting = deployments
            .iter()
            .map(|(tenant, deployment)| tenant.wait_for(deployment, "succeeded", "live"));
        try_join_all(waiting).await?;

        let label = format!("skep.platform={}", skep.platform());
        let networks = rig.manager().labelled("networks", &label).await?;
        let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
        for network in &networks {
            *by_name.entry(text(network, "/Name")?).or_default() += 1;
        }
        assert_eq!(by_name.len(), ENVIRONMENTS, "{by_name:?}");
        assert!(by_name.values().all(|count| *count == 1), "{by_name:?}");
        let drift = skep.operator.get("/v1/admin/drift").await?.expect(200)?;
        assert_eq!(list(&drift, "/items")?.len(), 0, "{drift:#}");
        let drove = |line: &&String| line.contains("made an overlay network");
        let workers = skep.workers().await;
        let made: Vec<usize> =
            workers.iter().map(|worker| worker.log().iter().filter(drove).count()).collect();
        assert!(made.iter().all(|count| *count > 0), "both were at it: {made:?}");
        println!(
            "{} deployments by two workers on two managers in {:.1} s: {} networks, each once (made by {made:?})",
            ENVIRONMENTS * APPS,
            begun.elapsed().as_secs_f32(),
            by_name.len()
        );
        Ok(())
    })
}
