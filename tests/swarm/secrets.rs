//! Secrets and configs on their way into containers: as files, known to nobody else.

use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::specs::web;
use tests::{Outcome, Skep, Tenant, run, sql, wait_until};

/// What the app says of a value.
fn hash(value: &[u8]) -> String {
    let mut hash = DefaultHasher::new();
    hash.write(value);
    format!("{:016x}", hash.finish())
}

async fn file(
    tenant: &Tenant,
    engine: &Engine,
    app: &str,
    variable: &str,
) -> anyhow::Result<Value> {
    let id = text(&tenant.app(app).await?, "/id")?.to_owned();
    let url = format!("http://localhost:8080/file?variable={variable}");
    let (status, answer) = engine.ask_from(&id, &url).await?;
    ensure!(status == 200, "{answer}");
    Ok(answer)
}

async fn make(tenant: &Tenant, kind: &str, name: &str, value: &str) -> anyhow::Result<Value> {
    let body = json!({ "name": name, "value": value });
    tenant.client.post(&tenant.path(kind), &body).await?.expect(201)
}

/// Names of what the platform's secrets, or configs, are called in Swarm.
async fn objects(skep: &Skep, engine: &Engine, kind: &str) -> anyhow::Result<Vec<String>> {
    let label = format!("skep.platform={}", skep.platform());
    let there = engine.labelled(kind, &label).await?;
    let name = |object: &Value| Some(object["Spec"]["Name"].as_str()?.to_owned());
    Ok(there.iter().filter_map(name).filter(|name| !name.contains("probe")).collect())
}

#[test]
fn values_arrive_as_files_and_stand_nowhere_else() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let (password, page) = ("planted-password-41c9", "planted-page-7a30\n{{.Node.Hostname}}");
        make(&acme, "secrets", "db-password", password).await?;
        make(&acme, "configs", "page", page).await?;
        // Equal values do not show.
        make(&acme, "secrets", "db-password-too", password).await?;
        let mut spec = web("v1");
        spec["secrets"] = json!([{ "name": "db-password" }, { "name": "db-password-too" }]);
        spec["configs"] = json!([{ "name": "page", "path": "/srv/page.html" }]);
        acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;

        let found = file(&acme, &engine, "web", "DB_PASSWORD_FILE").await?;
        let wanted = json!({ "path": "/run/secrets/db-password", "bytes": password.len(), "hash": hash(password.as_bytes()) });
        ensure!(found == wanted, "{found}");
        let found = file(&acme, &engine, "web", "PAGE_FILE").await?;
        let wanted =
            json!({ "path": "/srv/page.html", "bytes": page.len(), "hash": hash(page.as_bytes()) });
        ensure!(found == wanted, "what looks like a template stays as it is: {found}");
        let names = objects(skep, &engine, "secrets").await?;
        ensure!(names.len() == 2 && names[0] != names[1], "{names:?}");
        ensure!(names.iter().all(|name| name.len() == "secret-".len() + 32), "{names:?}");

        let id = text(&acme.app("web").await?, "/id")?.to_owned();
        let service = engine.service_of(&id).await?.context("it is there")?.to_string();
        let container = engine.container_of(&id).await?;
        let container = engine.get(&format!("/containers/{container}/json")).await?.to_string();
        let opened =
            sql::rows(skep.database.owner(), "SELECT to_jsonb(audit_log) AS row FROM audit_log")
                .await?;
        let logs =
            skep.workers().await.iter().flat_map(tests::process::Process::log).collect::<Vec<_>>();
        for (where_, told) in [
            ("service", service),
            ("container", container),
            ("log", logs.join("\n")),
            ("audit", Value::from(opened.clone()).to_string()),
        ] {
            ensure!(
                told.contains("db-password") || where_ == "log",
                "{where_} tells which: {told}"
            );
            ensure!(!told.contains(password) && !told.contains("planted-page"), "{where_}: {told}");
        }
        // Each opening is written down, with what it was for.
        let opened = opened.iter().filter(|row| row["row"]["action"] == "secret.open");
        ensure!(
            opened.clone().count() == 3
                && opened.clone().all(|row| row["row"]["after"]["deployment"].is_string())
        );
        Ok(())
    })
}

#[test]
fn a_new_version_reaches_the_app_and_the_old_one_is_thrown_away_when_nothing_needs_it() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        make(&acme, "secrets", "key", "one").await?;
        let mut spec = web("v1");
        spec["secrets"] = json!([{ "name": "key" }]);
        acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        let path = acme.path("secrets/key/versions");
        let made = acme.client.post(&path, &json!({ "value": "two" })).await?.expect(201)?;
        let deployment = acme
            .client
            .get(&acme.path(&format!(
                "apps/web/deployments/{}",
                text(&made, "/deployments/0/deployment")?
            )))
            .await?
            .expect(200)?;
        acme.wait_for(&deployment, "succeeded", "live").await?;
        let found = file(&acme, &engine, "web", "KEY_FILE").await?;
        ensure!(found["hash"] == hash(b"two"), "{found}");
        // A restart of what runs is no news to Swarm, and a rollback has the old value again.
        let back = acme.rollback("web", json!({ "release": 1 })).await?;
        acme.wait_for(&back, "succeeded", "live").await?;
        let found = file(&acme, &engine, "web", "KEY_FILE").await?;
        ensure!(found["hash"] == hash(b"one"), "{found}");
        ensure!(objects(skep, &engine, "secrets").await?.len() == 2);

        // Without the app nothing needs the first version; the newest one stays for whoever mounts it next.
        let removal = acme.client.delete(&acme.path("apps/web")).await?.expect(202)?;
        acme.wait_for(&removal, "succeeded", "removed").await?;
        let age = "UPDATE secret_versions SET created_at = created_at - interval '2 hours'";
        sql::execute(skep.database.owner(), age).await?;
        // A worker looks when it starts.
        skep.start_worker().await?;
        wait_until("the old version to go", Duration::from_secs(30), async || {
            let versions = acme.client.get(&path).await?.expect(200)?;
            let versions = list(&versions, "/items")?;
            let there = objects(skep, &engine, "secrets").await?.len();
            Ok(versions[0]["collected_at"].is_null()
                && versions[1]["collected_at"].is_string()
                && there == 1)
        })
        .await?;
        acme.client.delete(&acme.path("secrets/key")).await?.expect(204)?;
        skep.start_worker().await?;
        wait_until("all of it to go", Duration::from_secs(30), async || {
            Ok(objects(skep, &engine, "secrets").await?.is_empty()
                && sql::count(skep.database.owner(), "secret_versions WHERE sealed IS NOT NULL")
                    .await?
                    == 0)
        })
        .await
    })
}

#[test]
fn what_no_worker_can_open_ends_with_the_secrets_name() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        make(&acme, "secrets", "key", "one").await?;
        make(&acme, "secrets", "other", "two").await?;
        // As somebody would who may write to Postgres and wants another tenant's value: copied, it does not open.
        let copy = "UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions v JOIN secrets s
            ON s.id = v.secret_id WHERE s.name = 'other') WHERE secret_id = (SELECT id FROM secrets WHERE name = 'key')";
        sql::execute(skep.database.owner(), copy).await?;
        let mut spec = web("v1");
        spec["secrets"] = json!([{ "name": "key" }]);
        acme.create_app("web", spec).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&deployment, "failed", "secret_unavailable").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        ensure!(sentence.contains("the secret key v1"), "{sentence}");
        Ok(())
    })
}
