//! Deadlines: the platform's where an app states none, and frozen with the release.

use serde_json::{Value, json};
use tests::api::Api;
use tests::{Client, Outcome, Skep, pretend, run, sql};

use crate::web;

/// An API of the installation with these deadlines of the platform: a process reads them at its start.
async fn api_with(skep: &Skep, deadlines: [u32; 4]) -> anyhow::Result<Api> {
    let [schedule, pull, healthy, progress] = deadlines;
    let set = format!(
        "UPDATE platform SET deadline_schedule_seconds = {schedule}, deadline_pull_seconds = {pull},
            deadline_healthy_seconds = {healthy}, deadline_progress_seconds = {progress}"
    );
    sql::execute(skep.database.owner(), &set).await?;
    Api::start(skep.api_settings()?).await
}

async fn deploy(client: &Client, app: &str, skep: &Skep) -> anyhow::Result<Value> {
    let path = format!("{app}/deployments");
    let accepted = client.post(&path, &json!({})).await?.expect(202)?;
    pretend::succeed(skep.database.worker()).await?;
    let path = format!("{app}/releases/{}", accepted["release"]);
    Ok(client.get(&path).await?.expect(200)?["spec"]["deadlines"].clone())
}

#[test]
fn are_the_platforms_where_none_is_stated_and_frozen_with_the_release() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let all = |schedule: u32, pull: u32, healthy: u32, progress: u32| json!({ "schedule": schedule, "pull": pull, "healthy": healthy, "progress": progress });
        let mut spec = web();
        spec["deadlines"] = json!({ "pull": 45 });
        let made = acme.create_app("web", spec).await?;
        assert_eq!(made["spec"]["deadlines"], json!({ "pull": 45 }), "what is stated");
        let app = acme.path("apps/web");
        assert_eq!(deploy(&acme.client, &app, skep).await?, all(120, 45, 60, 600));

        let api = api_with(skep, [20, 200, 30, 90]).await?;
        let client = acme.client.at(api.url());
        // What a deployment would change now.
        let changes = client.get(&format!("{app}/diff")).await?.expect(200)?["changes"].clone();
        let line = |path: &str, before: u32, after: u32| json!({ "path": path, "before": before, "after": after });
        assert_eq!(
            changes,
            json!([
                line("deadlines.healthy", 60, 30),
                line("deadlines.progress", 600, 90),
                line("deadlines.schedule", 120, 20),
            ])
        );
        assert_eq!(deploy(&client, &app, skep).await?, all(20, 45, 30, 90));
        // A patch of anything else states nothing; null takes a statement back.
        client.patch(&app, &json!({ "memory": 1024 })).await?.expect(200)?;
        let patched = client.patch(&app, &json!({ "deadlines": { "pull": null } })).await?;
        assert_eq!(patched.expect(200)?["spec"]["deadlines"], json!({}));
        assert_eq!(deploy(&client, &app, skep).await?, all(20, 200, 30, 90));
        let first = client.get(&format!("{app}/releases/1")).await?.expect(200)?;
        assert_eq!(first["spec"]["deadlines"], all(120, 45, 60, 600), "it stays as it was frozen");
        api.stop().await
    })
}

#[test]
fn what_the_platforms_could_never_meet_is_refused() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let slow = json!({ "command": ["/ok"], "start_period": 100 });
        let mut spec = web();
        (spec["health_check"], spec["slug"]) = (slow, "web".into());
        let refused = acme.client.post(&acme.path("apps"), &spec).await?.problem(400, "invalid")?;
        assert_eq!(refused["violations"][0]["field"], "deadlines.healthy", "{refused}");
        // A platform that waits longer takes it.
        let api = api_with(skep, [120, 300, 100, 600]).await?;
        let client = acme.client.at(api.url());
        client.post(&acme.path("apps"), &spec).await?.expect(201)?;
        api.stop().await?;
        // Set back, the next deployment is refused with the reason, and nothing is written.
        let api = api_with(skep, [120, 300, 60, 600]).await?;
        let path = acme.path("apps/web/deployments");
        let refused = acme.client.at(api.url()).post(&path, &json!({})).await?;
        let problem = refused.problem(400, "invalid")?;
        assert_eq!(problem["violations"][0]["field"], "deadlines.healthy", "{problem}");
        assert_eq!(sql::count(skep.database.owner(), "releases").await?, 0);
        api.stop().await
    })
}

#[test]
fn the_platforms_are_bounded_as_an_apps_are() -> Outcome {
    run(async |skep| {
        for bad in ["schedule_seconds = 9", "pull_seconds = 29", "healthy_seconds = 4"]
            .into_iter()
            .chain(["progress_seconds = 59", "progress_seconds = 7201"])
        {
            let set = format!("UPDATE platform SET deadline_{bad}");
            let error = sql::execute(skep.database.owner(), &set).await.unwrap_err();
            assert!(format!("{error:#}").contains("check constraint"), "{bad}: {error:#}");
        }
        Ok(())
    })
}
