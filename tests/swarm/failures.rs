//! Failures: each ends with a true verdict, says why in a sentence, and keeps the proof.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::environment::environment;
use tests::{Outcome, run};

use crate::specs::{image, web};

#[test]
fn an_unhealthy_update_is_rolled_back_to_what_was_live() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let bad = acme.deploy("web", json!({ "image": image("v3") })).await?;
        let ended = acme.wait_for(&bad, "rolled_back", "unhealthy").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        assert!(
            sentence.contains("v2") && sentence.contains("GET /health on port 8080"),
            "{sentence}"
        );
        assert!(sentence.contains("500"), "what the check was answered: {sentence}");
        let tasks = list(&ended, "/evidence/tasks")?;
        let told = tasks
            .iter()
            .filter_map(|task| task["health"].as_str())
            .any(|health| health.contains("500"));
        assert!(told, "{ended:#}");
        let steps: Vec<&str> = list(&ended, "/timeline")?
            .iter()
            .map(|step| text(step, "/status"))
            .collect::<Result<_, _>>()?;
        assert_eq!(steps[steps.len() - 2..], ["rolling_back", "rolled_back"]);
        let updates: Vec<&str> = list(&ended, "/evidence/update_statuses")?
            .iter()
            .map(|update| text(update, "/state"))
            .collect::<Result<_, _>>()?;
        // Swarm took it back before Skep's own three tries were over.
        assert_eq!(updates, ["updating", "rollback_started", "rollback_completed"], "{ended:#}");

        // The old release is live: the API says so, Swarm does, and the app itself.
        assert_eq!(acme.app("web").await?["live"], json!({ "release": 1, "replicas": 1 }));
        let id = text(&app, "/id")?;
        let service = engine.service_of(id).await?.unwrap();
        let release = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        assert_eq!(service["Spec"]["Labels"]["skep.release"], release["id"]);
        assert_eq!(engine.running_ids(id).await?.len(), 1);
        let (_, answer) = engine.ask_from(id, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v1");
        let failed = acme.client.get(&acme.path("apps/web/releases/2")).await?.expect(200)?;
        assert!(failed["stable_at"].is_null());
        Ok(())
    })
}

#[test]
fn a_first_deploy_that_never_gets_healthy_is_stopped() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v3")).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "unhealthy").await?;
        assert!(text(&ended, "/reason/sentence")?.contains("500"), "{ended:#}");
        assert!(!list(&ended, "/evidence/tasks")?.is_empty(), "{ended:#}");
        let id = text(&app, "/id")?;
        let service = engine.service_of(id).await?.unwrap();
        assert_eq!(service["Spec"]["Mode"]["Replicated"]["Replicas"], 0);
        let alive = engine
            .all_tasks_of(id)
            .await?
            .into_iter()
            .filter(|task| task["Status"]["State"] == "running");
        assert_eq!(alive.count(), 0);
        assert!(acme.app("web").await?["live"].is_null());
        // The way out: a release that works.
        acme.deploy_live("web", json!({ "image": image("v1") })).await?;
        Ok(())
    })
}

#[test]
fn a_crash_tells_its_exit_code_and_last_line() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let bad = acme.deploy("web", json!({ "image": image("crash") })).await?;
        let ended = acme.wait_for(&bad, "rolled_back", "exited").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        assert!(
            sentence.contains("exited with code 1") && sentence.contains("its last line was"),
            "{sentence}"
        );
        let log = list(&ended, "/evidence/log")?;
        let last = log.last().and_then(|line| line.as_str()).unwrap_or_default();
        assert!(!last.is_empty() && sentence.contains(last.trim()), "{ended:#}");
        let crashed = list(&ended, "/evidence/tasks")?.iter().any(|task| {
            task["exit_code"] == 1 && task["ended_at"].is_string() && task["out_of_memory"] == false
        });
        assert!(crashed, "{ended:#}");
        Ok(())
    })
}

#[test]
fn a_first_deploy_that_crashes_is_stopped() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("crash");
        spec.as_object_mut().unwrap().remove("health_check");
        acme.create_app("web", spec).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "exited").await?;
        assert!(text(&ended, "/reason/sentence")?.contains("exited with code 1"), "{ended:#}");
        Ok(())
    })
}

#[test]
fn a_crash_before_the_first_healthy_answer_is_a_crash() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        // Its checks fail too, as it never listens; they are not why it ends.
        spec["env"] =
            json!({ "APP_START_DELAY": "60", "APP_CRASH_AFTER": "3", "APP_EXIT_CODE": "7" });
        spec["health_check"]["retries"] = 10.into();
        acme.create_app("web", spec).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "exited").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        assert!(sentence.contains("exited with code 7"), "{sentence}");
        Ok(())
    })
}

#[test]
fn an_image_that_the_registry_does_not_have_fails_at_once() -> Outcome {
    run(async |skep| {
        let registry = environment().registry()?;
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["image"] = format!("{registry}/nobody/nothing:v1").into();
        acme.create_app("web", spec).await?;
        let asked = Instant::now();
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "image_not_found").await?;
        assert!(text(&ended, "/reason/sentence")?.contains("nobody/nothing:v1"), "{ended:#}");
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        assert_eq!(ended["evidence"]["stage"], "provisioning", "{ended:#}");
        let release = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        assert!(release["resolved_image"].is_null());
        Ok(())
    })
}

#[test]
fn a_registry_that_does_not_answer_is_waited_for_as_long_as_a_pull_may_take() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        // Nothing listens there.
        let patch =
            json!({ "image": "127.0.0.1:9/nobody/nothing:v1", "deadlines": { "pull": 30 } });
        acme.patch_app("web", patch).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "failed", "registry_unavailable").await?;
        assert!(text(&ended, "/reason/sentence")?.contains("30 s"), "{ended:#}");
        // What was live was never touched.
        assert_eq!(acme.app("web").await?["live"]["release"], 1);
        Ok(())
    })
}

#[test]
fn constraints_that_no_node_meets_are_told() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let patch = json!({
            "placement": { "constraints": ["node.labels.disk==ssd"] }, "deadlines": { "schedule": 10 },
        });
        acme.patch_app("web", patch).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "rolled_back", "unschedulable").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        println!("{sentence}");
        let why = "the constraint node.labels.disk==ssd matches no node";
        assert!(sentence.contains(why), "{sentence}");
        Ok(())
    })
}
