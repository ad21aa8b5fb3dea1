//! Isolation checks on a real Swarm: what two organizations' networks let across, and that a check tells where it cannot.

use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::{Outcome, Skep, run, sql, wait_for, wait_until};

use crate::specs::web;

const CHECKS: &str = "/v1/admin/isolation-checks";

async fn ended(skep: &Skep, check: &Value) -> anyhow::Result<Value> {
    let path = format!("{CHECKS}/{}", text(check, "/id")?);
    wait_for("the check's end", Duration::from_secs(120), async || {
        let found = skep.operator.get(&path).await?.expect(200)?;
        Ok((found["status"] == "ended").then_some(found))
    })
    .await
}

#[test]
fn two_organizations_are_apart_and_the_evidence_says_so() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        for slug in ["acme", "globex"] {
            let tenant = skep.tenant(slug).await?;
            tenant.create_app("web", web("v1")).await?;
            tenant.deploy_live("web", json!({})).await?;
        }
        let body = json!({ "organizations": ["acme", "globex"] });
        let made = skep.operator.post(CHECKS, &body).await?.expect(202)?;
        let check = ended(skep, &made).await?;
        println!("{}", check["sentence"]);
        let findings = list(&check, "/findings")?;
        for finding in findings {
            println!(
                "{} -> {}: {} {}: {}",
                finding["from"],
                finding["to"],
                finding["probe"],
                finding["target"],
                finding["outcome"]
            );
        }
        assert_eq!(check["verdict"], "isolated", "{:#}", check["sentence"]);
        let count = |expected: &str| {
            findings.iter().filter(|finding| finding["expected"] == expected).count()
        };
        // Each towards the other by TCP, UDP, ICMP and three names; and the same towards its own.
        assert_eq!((count("silence"), count("answer")), (12, 12));
        // A container with a way out reaches its node's bridge.
        let gateway = |finding: &&Value| {
            finding["target"] == "the gateway" && finding["outcome"] == "answered"
        };
        assert_eq!(findings.iter().filter(gateway).count(), 2, "{findings:#?}");
        wait_until("the probes to go", Duration::from_secs(20), async || {
            let label = format!("skep.checks={}", skep.platform());
            Ok(engine.labelled("services", &label).await?.is_empty())
        })
        .await?;
        assert_eq!(sql::count(skep.database.owner(), "drift WHERE resolved_at IS NULL").await?, 0);
        Ok(())
    })
}

#[test]
fn a_probe_that_cannot_run_proves_nothing() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        skep.tenant("globex").await?;
        // Somebody else's network has the name of acme's.
        let environment = format!("{}/environments/production", acme.home());
        let environment = acme.client.get(&environment).await?.expect(200)?;
        let name = text(&environment, "/network/name")?;
        let subnet = text(&environment, "/network/subnet")?.to_owned();
        let config = IpamConfig { subnet: Some(subnet), ..IpamConfig::default() };
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("overlay".into()),
            ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
            ..NetworkCreateRequest::default()
        };
        let engine = Engine::connect()?;
        engine.client().create_network(request).await?;
        let body = json!({ "organizations": ["acme", "globex"] });
        let made = skep.operator.post(CHECKS, &body).await?.expect(202)?;
        let check = ended(skep, &made).await;
        engine.delete(&format!("/networks/{name}")).await?;
        let check = check?;
        assert_eq!(check["verdict"], "inconclusive");
        let sentence = text(&check, "/sentence")?;
        assert!(sentence.contains("nothing is proven") && sentence.contains(name), "{sentence}");
        Ok(())
    })
}
