//! Recovery: workers that die, stop, or have a service taken away under them. What else may die is in
//! `tests/outages`.

use std::time::Duration;

use serde_json::{Value, json};
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, Skep, run, sql, wait_until};

use crate::specs::{image, slow_web, web};

async fn lease_owner(skep: &Skep) -> anyhow::Result<Value> {
    let driving = "SELECT lease_owner FROM deployments WHERE finished_at IS NULL";
    Ok(sql::row(skep.database.owner(), driving).await?["lease_owner"].clone())
}

#[test]
fn a_killed_worker_s_bad_rollout_is_rolled_back_by_another() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", slow_web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let update = acme.deploy("web", json!({ "image": image("v3") })).await?;
        acme.wait_for_status(&update, &["updating"]).await?;
        skep.workers().await[0].kill().await?;
        skep.start_worker().await?;
        acme.wait_for(&update, "rolled_back", "unhealthy").await?;
        let (_, answer) = engine.ask_from(text(&app, "/id")?, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v1");
        Ok(())
    })
}

#[test]
fn a_worker_that_is_asked_to_stop_hands_over_at_once() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", slow_web("v1")).await?;
        let first = acme.deploy("web", json!({})).await?;
        acme.wait_for_status(&first, &["updating"]).await?;
        let leaving = lease_owner(skep).await?;
        skep.start_worker().await?;
        skep.workers().await[0].stop().await?;
        // A lease lasts ten seconds; one that was handed over is taken by the next sweep.
        wait_until("another worker to go on", Duration::from_secs(5), async || {
            Ok(lease_owner(skep).await? != leaving)
        })
        .await?;
        acme.wait_for(&first, "succeeded", "live").await?;
        Ok(())
    })
}

/// What a worker has made sure of for one deployment, it takes for granted for the next.
#[test]
fn network_and_probe_that_are_deleted_by_hand_are_made_again() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let mut gone = Vec::new();
        // Swarm calls the absence of a network its own failure, and that of a config the spec's.
        let rounds = [
            ("first", vec![("networks", "/Id"), ("configs", "/ID")]),
            ("second", vec![("configs", "/ID")]),
            ("third", vec![("networks", "/Id")]),
            ("fourth", vec![]),
        ];
        for (slug, deleted) in rounds {
            let app = acme.create_app(slug, web("v1")).await?;
            acme.deploy_live(slug, json!({})).await?;
            // Docker deletes neither under a service that refers to it.
            let removal = acme.remove(slug).await?;
            acme.wait_for(&removal, "succeeded", "removed").await?;
            assert!(engine.service_of(text(&app, "/id")?).await?.is_none());
            for (objects, name) in deleted {
                let label = format!("skep.platform={}", skep.platform());
                let found = engine.labelled(objects, &label).await?;
                assert_eq!(found.len(), 1, "{found:#?}");
                let id = text(&found[0], name)?.to_owned();
                assert!(!gone.contains(&id), "{objects}: it was not made again");
                let path = format!("/{objects}/{id}");
                let patience = Duration::from_secs(30);
                wait_until("it to go", patience, async || engine.delete(&path).await).await?;
                gone.push(id);
            }
        }
        Ok(())
    })
}

#[test]
fn a_service_that_is_deleted_by_hand_comes_back() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", slow_web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let update = acme.deploy("web", json!({ "image": image("v2") })).await?;
        acme.wait_for_status(&update, &["updating"]).await?;
        let id = text(&app, "/id")?;
        let service = engine.service_of(id).await?.unwrap();
        assert!(engine.delete(&format!("/services/{}", text(&service, "/ID")?)).await?);
        acme.wait_for(&update, "succeeded", "live").await?;
        let back = engine.service_of(id).await?.unwrap();
        assert_ne!(back["ID"], service["ID"]);
        let (_, answer) = engine.ask_from(id, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v2");
        Ok(())
    })
}
