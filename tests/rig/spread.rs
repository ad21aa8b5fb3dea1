//! Replicas on several nodes: they are spread, have one name, and reach each other across.

use anyhow::Result;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::rig::{Rig, run_on_rig};

use crate::specs::web;
use tests::Outcome;

/// Who answers at an address, asked from inside one of an app's tasks.
async fn called(rig: &Rig, from: &Value, host: &str) -> Result<Value> {
    let url = format!("http://127.0.0.1:8080/call?host={host}&port=8080&path=/");
    let (status, answer) = rig.ask_from(from, &url).await?.map_err(anyhow::Error::msg)?;
    anyhow::ensure!(status == 200, "{host} did not answer: {answer}");
    Ok(answer)
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
        }
        println!(
            "2 replicas on nodes 2 and 3: each resolves both by name, and is answered by both"
        );
        Ok(())
    })
}
