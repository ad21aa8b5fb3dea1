//! The isolation check where networks cross nodes, and the firewall rules of `docs/networking.md`, tried.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::rig::{NETWORK, run_on_rig};
use tests::{Outcome, Skep, wait_for};

use crate::specs::image;

const CHECKS: &str = "/v1/admin/isolation-checks";
/// Where the rules are written down.
const DOCS: &str = include_str!("../../docs/networking.md");

/// A check of two organizations, when it has ended.
async fn check(skep: &Skep) -> Result<Value> {
    let body = json!({ "organizations": ["acme", "globex"] });
    let made = skep.operator.post(CHECKS, &body).await?.expect(202)?;
    let path = format!("{CHECKS}/{}", text(&made, "/id")?);
    wait_for("the check's end", Duration::from_secs(250), async || {
        let found = skep.operator.get(&path).await?.expect(200)?;
        Ok((found["status"] == "ended").then_some(found))
    })
    .await
}

/// What of the nodes was answered.
fn reached(check: &Value) -> Result<BTreeSet<&str>> {
    let findings = list(check, "/findings")?.iter();
    let open = findings.filter(|found| found["to"].is_null() && found["outcome"] == "answered");
    open.map(|found| text(found, "/target")).collect()
}

/// The rules of the documentation, as an operator would run them on each node of this network.
fn rules() -> Result<String> {
    let after = DOCS.split("```sh firewall\n").nth(1).context("no firewall rules in the docs")?;
    let rules = after.split("```").next().context("they do not end")?;
    Ok(rules.replace("NODES", &format!("{NETWORK}.0/24")))
}

#[test]
fn two_organizations_are_apart_and_rules_close_the_nodes() -> Outcome {
    run_on_rig(async |rig, skep| {
        skep.start_worker().await?;
        for slug in ["acme", "globex"] {
            skep.tenant(slug).await?;
        }
        let open = check(skep).await?;
        assert_eq!(open["verdict"], "isolated", "{}", open["sentence"]);
        let findings = list(&open, "/findings")?;
        let count = |expected: &str| {
            findings.iter().filter(|finding| finding["expected"] == expected).count()
        };
        // Two networks, a prober of each on two nodes, two listeners of each: each prober makes six attempts at each listener.
        assert_eq!((count("silence"), count("answer")), (48, 48), "{}", open["sentence"]);
        let nodes: BTreeSet<&str> =
            findings.iter().filter_map(|finding| finding["node"].as_str()).collect();
        assert_eq!(nodes.len(), 2, "probed from two nodes of {}", rig.nodes().len());
        println!("{}", text(&open, "/sentence")?);
        // The manager at its own address: not the prober's gateway, but its node routes there.
        let managers = reached(&open)?.into_iter().filter(|target| target.ends_with("rig1:2377"));
        assert_eq!(managers.count(), 1, "{:?}", reached(&open)?);

        for node in rig.nodes() {
            node.engine.shell(&image("v1"), &rules()?).await?;
        }
        let closed = check(skep).await?;
        println!("with the rules: {}", text(&closed, "/sentence")?);
        let missed =
            list(&closed, "/findings")?.iter().filter(|found| found["as_expected"] == false);
        assert_eq!(closed["verdict"], "isolated", "{:#?}", missed.collect::<Vec<_>>());
        assert_eq!(reached(&closed)?, BTreeSet::new(), "{}", closed["sentence"]);
        Ok(())
    })
}
