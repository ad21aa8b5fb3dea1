//! What apps write to disk is measured, told, and acted upon as the platform is set.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::specs::web;
use tests::{Outcome, Tenant, run, sql, wait_for, wait_until};

/// How long a measurement may be in coming.
const SOON: Duration = Duration::from_secs(60);
const MB: i64 = 1 << 20;

/// The app's disk, once it is at this level.
async fn measured(tenant: &Tenant, level: &str) -> anyhow::Result<Value> {
    let path = tenant.path("apps/web/disk");
    wait_for(&format!("a disk that is {level}"), SOON, async || {
        let disk = tenant.client.get(&path).await?.expect(200)?;
        Ok((disk["level"] == level).then_some(disk))
    })
    .await
}

fn writing(megabytes: i64) -> Value {
    json!({ "APP_DRAIN_SECONDS": "0", "APP_WRITE": megabytes.to_string() })
}

#[test]
fn who_writes_too_much_is_told_and_then_stopped() -> Outcome {
    run(async |skep| {
        let stop = "UPDATE platform SET on_disk_full = 'stop'";
        sql::execute(skep.database.owner(), stop).await?;
        skep.start_worker_measuring_disks().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["disk"] = json!(1);
        spec["env"] = writing(100);
        // The image's own user may write nowhere.
        spec["user"] = json!("0");
        acme.create_app("web", spec).await?;
        let path = acme.path("apps/web/disk");
        let nothing = acme.client.get(&path).await?.expect(200)?;
        assert_eq!((&nothing["measured_at"], &nothing["replicas"]), (&Value::Null, &json!([])));
        acme.deploy_live("web", json!({})).await?;
        let disk = measured(&acme, "normal").await?;
        assert_eq!(disk["limit_bytes"], 1024 * MB);
        let replica = &list(&disk, "/replicas")?[0];
        ensure!(replica["bytes"].as_i64() >= Some(100 * MB), "{disk:#}");
        ensure!(!text(replica, "/node")?.is_empty() && !text(replica, "/task")?.is_empty());

        // Above 80 %: told, and nothing else.
        acme.patch_app("web", json!({ "env": writing(900) })).await?;
        acme.deploy_live("web", json!({})).await?;
        let disk = measured(&acme, "high").await?;
        ensure!(disk["used_bytes"].as_i64() >= Some(900 * MB), "{disk:#}");
        assert_eq!(acme.app("web").await?["stopped_at"], Value::Null);

        // All of it: stopped, and why is in the timeline.
        acme.patch_app("web", json!({ "env": writing(1100) })).await?;
        acme.deploy_live("web", json!({})).await?;
        wait_until("the app to be stopped", SOON, async || {
            Ok(acme.app("web").await?["stopped_at"] != Value::Null)
        })
        .await?;
        let deployments = acme.client.get(&acme.path("apps/web/deployments")).await?.expect(200)?;
        let stopping = &list(&deployments, "/items")?[0];
        assert_eq!((&stopping["kind"], &stopping["requested_by"]), (&json!("stop"), &Value::Null));
        let ended = acme.wait_for_end(stopping).await?;
        assert_eq!(ended["status"], "succeeded");
        let why = text(&ended, "/timeline/0/message")?;
        let told = "a replica has written 1.1 GB to disk, of 1.0 GB that it may";
        ensure!(why.contains(told), "{why}");
        let audit = format!("{}/audit?action=app.disk", acme.home());
        let told = skep.operator.get(&audit).await?.expect(200)?;
        let levels: Vec<&Value> =
            list(&told, "/items")?.iter().map(|entry| &entry["after"]["level"]).collect();
        assert_eq!(levels, ["full", "high"], "newest first");
        let stops = "audit_log WHERE action = 'app.stop' AND request_id = 'disk'";
        assert_eq!(sql::count(skep.database.owner(), stops).await?, 1);
        Ok(())
    })
}

#[test]
fn one_worker_at_a_time_measures_and_who_runs_nothing_is_forgotten() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let minute = Duration::from_secs(60);
        let begun = futures::future::try_join_all(
            (0..8).map(|_| db::app_disk::disk_round_begin(worker, minute)),
        )
        .await?;
        assert_eq!(begun.iter().flatten().count(), 1);
        assert_eq!(db::app_disk::disk_round_begin(worker, minute).await?, None);
        let past = "UPDATE disk_rounds SET next_at = now()";
        sql::execute(skep.database.owner(), past).await?;
        ensure!(db::app_disk::disk_round_begin(worker, minute).await?.is_some());
        Ok(())
    })
}
