//! Limits that are passed, and a network that cannot be had: each ends with a reason of its own.

use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use serde_json::json;
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::specs::web;
use tests::{Outcome, run, sql, wait_until};

#[test]
fn a_leak_ends_at_its_memory_limit() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let leaking = json!({ "env": { "APP_DRAIN_SECONDS": "0", "APP_LEAK": "300" } });
        acme.patch_app("web", leaking).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "rolled_back", "out_of_memory").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        println!("{sentence}");
        assert!(sentence.contains("v2") && sentence.contains("256 MB"), "{sentence}");
        let killed = list(&ended, "/evidence/tasks")?
            .iter()
            .any(|task| task["exit_code"] == 137 && task["out_of_memory"] == true);
        assert!(killed, "{ended:#}");
        assert_eq!(acme.app("web").await?["live"]["release"], 1);
        Ok(())
    })
}

#[test]
fn a_replica_that_is_not_healthy_in_time_is_given_up() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        // It never listens, and its checks may fail for longer than it may take to be healthy.
        spec["env"] = json!({ "APP_DRAIN_SECONDS": "0", "APP_START_DELAY": "300" });
        spec["health_check"]["retries"] = 10.into();
        spec["deadlines"] = json!({ "healthy": 5 });
        acme.create_app("web", spec).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "healthy_deadline").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        println!("{sentence}");
        assert!(sentence.contains("within 5 s"), "{sentence}");
        assert!(sentence.contains("its health check last said `"), "{sentence}");
        Ok(())
    })
}

#[test]
fn a_network_that_overlaps_a_foreign_one_is_told() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let swarm = Duration::from_secs(30);
        wait_until("a swarm", swarm, async || {
            Ok(engine.get("/info").await?["Swarm"]["LocalNodeState"] == "active")
        })
        .await?;
        // On all of this installation's subnets: whichever the environment got, it overlaps.
        let name = format!("{}-foreign", skep.platform());
        let config =
            IpamConfig { subnet: Some(skep.subnets().to_string()), ..IpamConfig::default() };
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("overlay".into()),
            ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
            labels: Some([("skep.platform".into(), skep.platform())].into()),
            ..NetworkCreateRequest::default()
        };
        // Before that: a worker that finds the foreign one keeps all of its range from whoever comes after.
        let acme = skep.tenant("acme").await?;
        engine.client().create_network(request).await?;
        acme.create_app("web", web("v1")).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "network_unavailable").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        println!("{sentence}");
        assert!(sentence.contains("overlaps"), "{sentence}");
        // The way out: the operator takes the foreign one away.
        assert!(engine.delete(&format!("/networks/{name}")).await?);
        acme.deploy_live("web", json!({})).await?;
        Ok(())
    })
}

#[test]
fn a_spec_that_swarm_refuses_is_told() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        // Nothing that a tenant may write is refused by Swarm: a name of ours that is wrong.
        let wrong = "UPDATE apps SET service_name = 'no name'";
        assert_eq!(sql::execute(skep.database.owner(), wrong).await?, 1);
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "spec_refused").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        println!("{sentence}");
        assert!(sentence.contains("Swarm refused v1: ") && sentence.contains("name"), "{sentence}");
        Ok(())
    })
}
