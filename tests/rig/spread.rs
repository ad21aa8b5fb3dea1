//! Replicas on several nodes: they are spread, have one name, and reach each other across.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::rig::{Rig, run_on_rig};
use tests::{Outcome, wait_for};

use crate::specs::web;

/// How long it may take until addresses of tasks on other nodes are shown: live status looks at an app each ten seconds.
const SHOWN: Duration = Duration::from_secs(30);

/// Who answers at an address, asked from inside one of an app's tasks.
async fn called(rig: &Rig, from: &Value, host: &str) -> Result<Value> {
    let url = format!("http://127.0.0.1:8080/call?host={host}&port=8080&path=/");
    let (status, answer) = rig.ask_from(from, &url).await?.map_err(anyhow::Error::msg)?;
    anyhow::ensure!(status == 200, "{host} did not answer: {answer}");
    Ok(answer)
}

fn sorted(addresses: &[Value]) -> Vec<String> {
    let mut sorted: Vec<String> =
        addresses.iter().filter_map(|address| Some(address.as_str()?.to_owned())).collect();
    sorted.sort();
    sorted
}

#[test]
fn replicas_are_spread_and_reach_each_other_by_name_across_nodes() -> Outcome {
    run_on_rig(async |rig, skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let globex = skep.tenant("globex").await?;
        let mut spec = web("v1");
        spec["replicas"] = 2.into();
        let app = acme.create_app("web", spec.clone()).await?;
        acme.deploy_live("web", json!({})).await?;
        let foreign = globex.create_app("web", spec).await?;
        globex.deploy_live("web", json!({})).await?;

        // On the workers, and not on the manager: there are workers.
        assert_eq!(rig.places(text(&app, "/id")?).await?, [2, 3]);
        assert_eq!(rig.places(text(&foreign, "/id")?).await?, [2, 3]);

        let tasks = rig.running(text(&app, "/id")?).await?;
        let mut resolved = Vec::new();
        for task in &tasks {
            let url = "http://127.0.0.1:8080/resolve?host=web.internal";
            let (_, found) = rig.ask_from(task, url).await?.map_err(anyhow::Error::msg)?;
            let addresses = list(&found, "/addresses")?;
            assert_eq!(addresses.len(), 2, "its own and the other node's: {found}");
            let mut answered = Vec::new();
            for address in addresses {
                let address = address.as_str().unwrap_or_default();
                let answer = called(rig, task, address).await?;
                answered.push(text(&answer, "/answer/hostname")?.to_owned());
            }
            answered.sort();
            answered.dedup();
            assert_eq!(answered.len(), 2, "both replicas answered: {answered:?}");
            resolved = sorted(addresses);
        }

        // What the tenant is shown is what its tasks find. The nodes are asked for it one after the other, after the verdict.
        let shown = wait_for("the network's view to show both addresses", SHOWN, async || {
            let view = acme.client.get(&acme.path("network")).await?.expect(200)?;
            let shown = sorted(list(&view, "/apps/0/addresses")?);
            Ok((shown.len() == 2).then_some(shown))
        })
        .await?;
        assert_eq!(shown, resolved);
        println!(
            "2 replicas on nodes 2 and 3: each resolves both by name, and is answered by both"
        );
        Ok(())
    })
}
