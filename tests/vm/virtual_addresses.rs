//! Virtual addresses: requests are spread over the replicas, and a rolling update behind one fails none.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use model::platform::Encryption;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::rig::{Rig, run_on_vm};
use tests::{Outcome, wait_for};

use crate::crossing::{MARKER, app_and_visitor};

/// Requests whose answers are told apart by replica.
const ASKED: usize = 10;

/// What the visitor has counted so far.
async fn counts(rig: &Rig, visitor: &str) -> Result<Value> {
    let tasks = rig.running(visitor).await?;
    let lines = rig.manager().task_log(text(&tasks[0], "/ID")?).await?;
    Ok(lines.last().map_or(Ok(Value::Null), |line| serde_json::from_str(line))?)
}

async fn visits(rig: &Rig, visitor: &str, version: &str, least: u64) -> Result<Value> {
    wait_for(&format!("{least} visits of {version}"), Duration::from_secs(60), async || {
        let found = counts(rig, visitor).await?;
        Ok((found["versions"][version].as_u64() >= Some(least)).then_some(found))
    })
    .await
}

#[test]
#[ignore = "needs the virtual machine: ./dev rig vm"]
fn a_virtual_address_spreads_and_an_update_behind_it_fails_no_request() -> Outcome {
    run_on_vm(Encryption::On, async |rig, skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let (app, visitor) = app_and_visitor(rig, &acme).await?;
        let from = rig.running(&visitor).await?;
        let mut replicas: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..ASKED {
            let asked = rig.ask_from(&from[0], "http://web:8080/").await?;
            let (_, answer) = asked.map_err(anyhow::Error::msg)?;
            *replicas.entry(text(&answer, "/hostname")?.to_owned()).or_default() += 1;
        }
        println!("verdict  virtual address: {ASKED} requests answered by {replicas:?}");
        assert_eq!(replicas.len(), 2, "both answer: {replicas:?}");
        let url = "http://127.0.0.1:8080/resolve?host=web";
        let tasks = rig.running(&app).await?;
        let (_, resolved) = rig.ask_from(&tasks[0], url).await?.map_err(anyhow::Error::msg)?;
        let shown =
            wait_for("the network's view to show it", Duration::from_secs(60), async || {
                let view = acme.client.get(&acme.path("network")).await?.expect(200)?;
                let web = list(&view, "/apps")?.iter().find(|app| app["slug"] == "web");
                Ok(web.map(|app| app["virtual_address"].clone()).filter(Value::is_string))
            })
            .await?;
        assert_eq!(resolved["addresses"], json!([shown]), "the name is it");

        visits(rig, &visitor, MARKER, 50).await?;
        let second = format!("{MARKER}-2");
        let env = json!({ "APP_VERSION": second, "APP_DRAIN_SECONDS": "10" });
        acme.patch_app("web", json!({ "env": env })).await?;
        acme.deploy_live("web", json!({})).await?;
        let after = visits(rig, &visitor, &second, 50).await?;
        println!("verdict  rolling update through it, under load: {after}");
        assert_eq!(after["failed"], 0, "{after}");
        Ok(())
    })
}
