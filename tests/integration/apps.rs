//! Apps: made, read, patched, removed.

use chrono::Utc;
use db::app_status::app_status_write;
use model::app_status::{AppStatus, Health};
use model::id::HealthId;
use model::stored::Stored;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::{Outcome, pretend, run, sql};

use crate::web;

#[test]
fn has_the_defaults_of_the_product() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let made = acme
            .client
            .post(&acme.path("apps"), &json!({ "slug": "web", "image": "demo:v1" }))
            .await?;
        assert_eq!(made.header("location"), Some(acme.path("apps/web").as_str()));
        let app = made.expect(201)?;
        assert_eq!(app["replicas"], 1);
        assert_eq!(app["environment"], "production");
        assert!(app["live"].is_null() && app["status"].is_null(), "nothing runs yet");
        assert_eq!(
            app["spec"],
            json!({
                "image": "demo:v1", "env": {}, "secrets": [], "configs": [], "extra_ports": [], "cpu": 0.5, "memory": 512, "disk": 1,
                "update_policy": {
                    "preset": "safe", "parallelism": 1, "delay": 10, "monitor": 15,
                    "max_failure_ratio": 0.3, "order": "start-first", "failure_action": "rollback",
                },
                "deadlines": {},
                "placement": { "constraints": [] },
                "stop_signal": "SIGTERM", "stop_grace_period": 10,
                "restart": { "condition": "any", "delay": 5 },
                "init": true, "read_only": false, "tmpfs": [], "labels": {},
            })
        );
        assert_eq!(acme.app("web").await?, app);
        assert_eq!(acme.app(text(&app, "/id")?).await?, app, "by its id, too");
        Ok(())
    })
}

/// What a list shows of an app: all but its whole spec and its tasks.
fn summary(app: &Value) -> Value {
    let mut summary = app.clone();
    summary["image"] = app["spec"]["image"].clone();
    for (of, left_out) in [("", "spec"), ("", "environment"), ("/status", "tasks")] {
        if let Some(Value::Object(fields)) = summary.pointer_mut(of) {
            fields.remove(left_out);
        }
    }
    summary
}

#[test]
fn a_list_tells_apps_apart_and_how_they_do() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.create_app("idle", web()).await?;
        acme.deploy("web", json!({ "image": "skep-demo:v2" })).await?;
        let live = pretend::succeed(skep.database.worker()).await?;
        let seen = AppStatus {
            app_id: live.app.id,
            organization_id: live.app.organization_id,
            health: Health::Degraded,
            cause: Some("replica 2 is gone".into()),
            release_id: live.release.map(|release| release.id),
            desired: 2,
            running: 1,
            tasks: Stored(Vec::new()),
            since: Utc::now(),
            observed_at: Utc::now(),
            health_id: HealthId::new(),
            virtual_address: None,
        };
        app_status_write(skep.database.worker(), vec![seen]).await?;
        let (web, idle) = (acme.app("web").await?, acme.app("idle").await?);
        assert_eq!((&web["status"]["release"], &web["live"]["release"]), (&json!(1), &json!(1)));
        let found = acme.client.get(&acme.path("apps")).await?.expect(200)?;
        assert_eq!(list(&found, "/items")?, [summary(&web), summary(&idle)]);
        // Another release is on its way in, and was seen; and none that is known.
        let next = json!({ "image": "demo:v2" });
        acme.client.post(&acme.path("apps/web/deployments"), &next).await?.expect(202)?;
        for (seen, release) in [("number = 2", json!(2)), ("false", Value::Null)] {
            let seen = format!("(SELECT id FROM releases WHERE {seen})");
            let update = format!("UPDATE app_status SET release_id = {seen}");
            sql::execute(skep.database.owner(), &update).await?;
            let web = acme.app("web").await?;
            assert_eq!((&web["status"]["release"], &web["live"]["release"]), (&release, &json!(1)));
            let found = acme.client.get(&acme.path("apps")).await?.expect(200)?;
            assert_eq!(list(&found, "/items")?, [summary(&web), summary(&idle)]);
        }
        Ok(())
    })
}

#[test]
fn a_slug_is_taken_once_in_an_environment() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        acme.create_app("web", web()).await?;
        let mut again = web();
        again["slug"] = "web".into();
        acme.client.post(&acme.path("apps"), &again).await?.problem(409, "already_exists")?;
        // Another organization's environment is another place.
        globex.create_app("web", web()).await?;
        Ok(())
    })
}

#[test]
fn a_patch_merges() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let mut spec = web();
        spec["env"] = json!({ "KEEP": "1", "DROP": "2" });
        spec["port"] = 8080.into();
        spec["health_check"] = json!({ "http": { "path": "/health" }, "retries": 5 });
        acme.create_app("web", spec).await?;
        let patched = acme
            .patch_app(
                "web",
                json!({
                    "replicas": 3,
                    "env": { "DROP": null, "ADD": "3" },
                    "update_policy": { "preset": "fast", "parallelism": 2 },
                    "health_check": { "tcp": { "port": 9000 } },
                    "memory": null,
                }),
            )
            .await?;
        let spec = &patched["spec"];
        assert_eq!(patched["replicas"], 3);
        assert_eq!(spec["env"], json!({ "KEEP": "1", "ADD": "3" }));
        assert_eq!(spec["update_policy"]["monitor"], 5);
        assert_eq!(spec["update_policy"]["parallelism"], 2);
        assert_eq!(spec["health_check"]["tcp"]["port"], 9000);
        assert!(spec["health_check"]["http"].is_null(), "one test replaces the other: {spec:#}");
        assert_eq!(spec["health_check"]["retries"], 5);
        assert_eq!(spec["memory"], 512, "null is the default again");
        assert_eq!(spec["image"], "skep-demo:v1", "what is absent stays");
        assert_eq!(acme.app("web").await?["spec"], *spec);
        // Removing the check altogether; and what must not become nothing.
        let patched = acme.patch_app("web", json!({ "health_check": null })).await?;
        assert!(patched["spec"]["health_check"].is_null());
        let image = acme.client.patch(&acme.path("apps/web"), &json!({ "image": null })).await?;
        assert_eq!(image.problem(400, "invalid")?["violations"][0]["field"], "image");
        // Nothing of it is a deployment.
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, 0);
        Ok(())
    })
}

#[test]
fn a_check_follows_the_port_of_its_app_into_the_next_release() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let mut spec = web();
        spec["port"] = 8080.into();
        spec["health_check"] = json!({ "http": { "path": "/health" } });
        let app = acme.create_app("web", spec).await?;
        assert!(app["spec"]["health_check"]["http"]["port"].is_null(), "none of its own: {app}");
        acme.deploy("web", json!({})).await?;
        acme.patch_app("web", json!({ "port": 9090 })).await?;
        acme.deploy("web", json!({})).await?;
        // What the worker renders from is whole.
        let select =
            "SELECT number, spec -> 'port' AS port, spec #> '{health_check,port}' AS checked
            FROM releases ORDER BY number";
        let frozen = sql::rows(skep.database.owner(), select).await?;
        let line =
            |number: i32, port: u16| json!({ "number": number, "port": port, "checked": port });
        assert_eq!(frozen, [line(1, 8080), line(2, 9090)]);
        // One that was made before checks could follow keeps the port that it has.
        let older = "UPDATE apps SET spec = spec #- '{health_check,port_of_app}'";
        sql::execute(skep.database.owner(), older).await?;
        let patched = acme.patch_app("web", json!({ "port": 7070 })).await?;
        assert_eq!(patched["spec"]["health_check"]["http"]["port"], 9090);
        Ok(())
    })
}

#[test]
fn a_patch_that_breaks_a_rule_changes_nothing() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let before = acme.create_app("web", web()).await?;
        for (patch, field) in [
            (json!({ "cpu": 0.1 }), "cpu"),
            (json!({ "replicas": 101 }), "replicas"),
            (json!({ "volumes": ["/data"] }), "volumes"),
            (json!({ "slug": "other" }), "slug"),
            (json!({ "update_policy": { "delay": 60 } }), "update_policy.monitor"),
            (json!({ "env": { "SKEP_TOKEN": "x" } }), "env.SKEP_TOKEN"),
        ] {
            let answer = acme.client.patch(&acme.path("apps/web"), &patch).await?;
            let problem = answer.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field, "{patch}: {problem}");
        }
        assert_eq!(acme.app("web").await?, before);
        Ok(())
    })
}

#[test]
fn removing_takes_no_more_changes_and_frees_the_slug_at_its_end() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let removal = acme.remove("web").await?;
        assert_eq!(removal["kind"], "remove");
        assert!(!acme.app("web").await?["removal_requested_at"].is_null());
        let path = acme.path("apps/web");
        acme.client.patch(&path, &json!({ "replicas": 2 })).await?.problem(409, "being_removed")?;
        acme.ask_deploy("web", json!({})).await?.problem(409, "being_removed")?;
        acme.client.delete(&path).await?.problem(409, "being_removed")?;
        let mut again = web();
        again["slug"] = "web".into();
        acme.client.post(&acme.path("apps"), &again).await?.problem(409, "already_exists")?;

        pretend::succeed(skep.database.worker()).await?;
        acme.client.get(&path).await?.problem(404, "not_found")?;
        // Its removal can be followed to the end; its history stays.
        let ended = acme.deployment(&removal).await?;
        assert_eq!(ended["status"], "succeeded");
        let new = acme.create_app("web", web()).await?;
        assert_ne!(new["id"], removal["app"]);
        assert_eq!(sql::count(skep.database.owner(), "apps").await?, 2);
        Ok(())
    })
}
