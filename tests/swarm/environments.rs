//! Environments in Swarm: an app in one of one's own making, what its network lets out, and that nothing of it is left
//! when it is removed.

use std::time::Duration;

use serde_json::json;
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run, sql, wait_until};

use crate::specs::web;

#[test]
fn nothing_of_one_is_left_in_the_swarm() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let environments = format!("{}/environments", acme.home());
        let network = json!({ "prefix": 26, "mtu": 1400, "access": "internal" });
        let body = json!({ "slug": "staging", "network": network });
        let made = acme.client.post(&environments, &body).await?.expect(201)?;
        let staging = acme.within("staging");
        let app = staging.create_app("web", web("v1")).await?;
        staging.deploy_live("web", json!({})).await?;

        let name = text(&made, "/network/name")?;
        let found = engine.get(&format!("/networks/{name}?scope=swarm")).await?;
        assert_eq!(found["IPAM"]["Config"][0]["Subnet"], made["network"]["subnet"]);
        assert_eq!(found["Internal"], true);
        assert_eq!(found["Options"]["com.docker.network.driver.mtu"], "1400");
        assert!(found["Options"].get("encrypted").is_some(), "{found:#}");
        // Internal: Docker puts it on no bridge to the world outside.
        let container = engine.container_of(text(&app, "/id")?).await?;
        let container = engine.get(&format!("/containers/{container}/json")).await?;
        let networks = container["NetworkSettings"]["Networks"].as_object().cloned();
        assert_eq!(networks.unwrap_or_default().keys().collect::<Vec<_>>(), [name]);
        let gateway = container["NetworkSettings"]["Networks"][name]["Gateway"].as_str();
        assert_eq!(gateway.unwrap_or_default(), "", "{container:#}");

        let path = format!("{environments}/staging");
        acme.client.delete(&path).await?.problem(409, "in_use")?;
        let removal = staging.remove("web").await?;
        staging.wait_for(&removal, "succeeded", "removed").await?;
        acme.client.delete(&path).await?.expect(204)?;
        wait_until("its network to leave the swarm", Duration::from_secs(60), async || {
            Ok(engine.find(&format!("/networks/{name}?scope=swarm")).await?.is_none())
        })
        .await?;
        wait_until("its subnet to rest", Duration::from_secs(20), async || {
            let retired = "networks WHERE retired_at IS NOT NULL";
            let resting = "resting_subnets";
            let owner = skep.database.owner();
            Ok(sql::count(owner, retired).await? == 0 && sql::count(owner, resting).await? == 1)
        })
        .await
    })
}

#[test]
fn another_network_takes_over_and_the_old_one_leaves() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let path = acme.path("network");
        let before = acme.client.get(&path).await?.expect(200)?;
        let old = text(&before, "/network/name")?;
        let app = acme.create_app("web", web("v1")).await?;
        let app = text(&app, "/id")?;
        acme.deploy_live("web", json!({})).await?;
        acme.create_app("asleep", web("v1")).await?;
        acme.deploy_live("asleep", json!({})).await?;
        let stopped = acme.to("stop", "asleep").await?;
        acme.wait_for(&stopped, "succeeded", "stopped").await?;
        let first = engine.running_ids(app).await?;

        let wanted = json!({ "prefix": 25, "mtu": 1400 });
        let made = acme.client.put(&path, &wanted).await?.expect(202)?;
        let new = text(&made, "/network/name")?;
        assert_ne!(old, new);
        assert!(text(&made, "/network/subnet")?.ends_with("/25"), "{made:#}");
        let again = acme.client.put(&path, &wanted).await?.problem(409, "in_use")?;
        assert!(text(&again, "/detail")?.contains(old), "{again:#}");
        wait_until("the old network to leave the swarm", Duration::from_secs(90), async || {
            Ok(engine.find(&format!("/networks/{old}?scope=swarm")).await?.is_none())
        })
        .await?;
        let found = engine.get(&format!("/networks/{new}?scope=swarm")).await?;
        for slug in ["web", "asleep"] {
            let id = text(&acme.app(slug).await?, "/id")?.to_owned();
            let service = engine.service_of(&id).await?.unwrap_or_default();
            let networks = &service["Spec"]["TaskTemplate"]["Networks"];
            assert_eq!(networks[0]["Target"], found["Id"], "{slug}: {networks:#}");
        }
        assert_ne!(engine.running_ids(app).await?, first, "its task is another one");
        let deployments = acme.client.get(&acme.path("apps/web/deployments")).await?.expect(200)?;
        assert_eq!(deployments["items"][0]["kind"], "repair", "{deployments:#}");
        assert_eq!(acme.app("asleep").await?["live"]["replicas"], 0);
        wait_until("its row to go", Duration::from_secs(20), async || {
            let view = acme.client.get(&path).await?.expect(200)?;
            Ok(view["leaving"] == json!([]) && view["capacity"]["nodes"] == 1)
        })
        .await
    })
}
