//! Private images: who may read one in its registry may run it, and nobody else, whatever a node has in its cache.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::environment::environment;
use tests::images::Repository;
use tests::specs::{image, web};
use tests::{Outcome, Tenant, run, sql, wait_until};

async fn set(tenant: &Tenant, registry: &str, body: Value) -> anyhow::Result<tests::Answer> {
    tenant.client.put(&format!("{}/registry-credentials/{registry}", tenant.home()), &body).await
}

/// How a deployment of this image ends for a tenant: its status and reason.
async fn tried(tenant: &Tenant, app: &str, reference: &str) -> anyhow::Result<(String, Value)> {
    let mut spec = web("v1");
    spec["image"] = reference.into();
    spec["slug"] = app.into();
    let made = tenant.client.post(&tenant.path("apps"), &spec).await?;
    if made.status == 400 {
        let problem = made.problem(400, "invalid")?;
        return Ok(("invalid".to_owned(), problem["detail"].clone()));
    }
    made.expect(201)?;
    let deployment = tenant.deploy(app, json!({})).await?;
    let ended = tenant.wait_for_end(&deployment).await?;
    let code = ended["reason"]["code"].as_str().unwrap_or_default().to_owned();
    Ok((code, ended["reason"]["sentence"].clone()))
}

#[test]
fn only_who_may_read_an_image_runs_it_cached_or_not() -> Outcome {
    run(async |skep| {
        let (registry, user, password) = environment().private_registry()?;
        let engine = Engine::connect()?;
        let name = format!("{registry}/{}/private", skep.platform());
        let repository = Repository::new(engine.clone(), name.clone()).with_login(user, password);
        let digest = repository.push_copy(&image("v1"), "v1").await?;
        let tag = format!("{name}:v1");
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let globex = skep.tenant("globex").await?;

        // Nobody reads it without an account.
        let (code, sentence) = tried(&acme, "early", &tag).await?;
        ensure!(code == "image_forbidden", "{code}: {sentence}");
        // A password that is none is refused when it is saved, in the registry's words.
        let wrong = json!({ "kind": "basic", "username": user, "secret": "wrong" });
        let problem = set(&acme, registry, wrong).await?.problem(400, "invalid")?;
        println!("{}", problem["detail"]);
        ensure!(problem["violations"][0]["field"] == "secret", "{problem}");
        ensure!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains("401 Unauthorized")),
            "{problem}"
        );
        let path = format!("{}/registry-credentials", acme.home());
        ensure!(list(&acme.client.get(&path).await?.expect(200)?, "/items")?.is_empty());
        let right = json!({ "kind": "basic", "username": user, "secret": password });
        let saved = set(&acme, registry, right.clone()).await?.expect(200)?;
        ensure!(saved["check"]["status"] == "accepted" && saved["version"] == 1, "{saved}");
        ensure!(!saved.to_string().contains(password), "{saved}");

        // Now the node has it, by tag, by digest and by id.
        acme.deploy_live("early", json!({})).await?;
        let id = text(&acme.app("early").await?, "/id")?.to_owned();
        let container = engine.container_of(&id).await?;
        let found = engine.get(&format!("/containers/{container}/json")).await?;
        let image_id = text(&found, "/Image")?.to_owned();
        ensure!(repository.has(&digest).await?, "the node has it");
        println!("{:<8} {:<32} {:<16}", "as", "reference", "ends");
        let of_id = format!("{name}@{image_id}");
        for (app, what, reference) in [
            ("by-tag", "its tag", tag.as_str()),
            ("by-digest", "its digest", digest.as_str()),
            ("by-id", "its image id as a digest", of_id.as_str()),
            ("bare-id", "its bare image id", image_id.as_str()),
        ] {
            let (code, sentence) = tried(&globex, app, reference).await?;
            println!("{:<8} {what:<32} {code:<16} {sentence}", "globex");
            let expected = if app == "bare-id" { "invalid" } else { "image_forbidden" };
            ensure!(
                code == expected || (app == "by-id" && code == "image_not_found"),
                "{code}: {sentence}"
            );
        }
        // Nor with a credential of its own that the registry does not take for it.
        let wrong = json!({ "kind": "basic", "username": "globex", "secret": "x" });
        set(&globex, registry, wrong).await?.problem(400, "invalid")?;

        // Another secret takes the place of the first; what runs is not touched.
        let running = engine.running_ids(&id).await?;
        let saved = set(&acme, registry, right).await?.expect(200)?;
        ensure!(saved["version"] == 2, "{saved}");
        // The service carries it soon, for nodes that have to pull.
        let newest = format!("{}/2", text(&saved, "/id")?);
        wait_until("the service to carry the new one", Duration::from_secs(60), async || {
            let service = engine.service_of(&id).await?.context("it is there")?;
            Ok(service["Spec"]["Labels"]["skep.registry-login"] == newest.as_str())
        })
        .await?;
        wait_until("it to be taken for ours", Duration::from_secs(60), async || {
            Ok(acme.app("early").await?["status"]["health"] == "healthy")
        })
        .await?;
        ensure!(engine.running_ids(&id).await? == running, "no task was replaced");
        let drift = sql::count(skep.database.owner(), "drift").await?;
        ensure!(drift == 0, "what the platform wrote is no drift");
        // Without a credential what runs goes on, and nothing new begins.
        let credential = format!("{path}/{registry}");
        acme.client.delete(&credential).await?.expect(204)?;
        let (code, _) = tried(&acme, "late", &digest).await?;
        ensure!(code == "image_forbidden", "{code}");
        wait_until("the service to carry none", Duration::from_secs(60), async || {
            let service = engine.service_of(&id).await?.context("it is there")?;
            Ok(service["Spec"]["Labels"]["skep.registry-login"].is_null())
        })
        .await?;
        ensure!(engine.running_ids(&id).await? == running, "it goes on");
        Ok(())
    })
}

#[test]
fn a_registry_that_is_not_reached_and_a_worker_that_is_not_there_are_told() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let body = json!({ "kind": "basic", "username": "a", "secret": "b" });
        let problem = set(&acme, "127.0.0.1:1", body.clone()).await?.problem(503, "unavailable")?;
        ensure!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains("no worker")),
            "{problem}"
        );
        skep.start_worker().await?;
        let path = format!("{}/registry-credentials/127.0.0.1:1", acme.home());
        wait_until("a worker that answers", Duration::from_secs(20), async || {
            Ok(set(&acme, "127.0.0.1:1", body.clone()).await?.status == 200)
        })
        .await?;
        let saved = acme.client.get(&path).await?.expect(200)?;
        ensure!(saved["check"]["status"] == "unreachable", "{saved}");
        let answer = saved["check"]["answer"].as_str().context("its words")?;
        ensure!(answer.contains("connection refused"), "{answer}");
        let id = text(&saved, "/id")?;
        let by_id = format!("{}/registry-credentials/{id}", acme.home());
        ensure!(acme.client.get(&by_id).await?.expect(200)? == saved);
        Ok(())
    })
}

/// Of what its owner gives the operator's program makes a login, again and again; of the wrong thing it makes none, and says so.
#[test]
fn a_short_lived_login_is_made_before_it_is_needed() -> Outcome {
    run(async |skep| {
        let (registry, user, password) = environment().private_registry()?;
        let engine = Engine::connect()?;
        let name = format!("{registry}/{}/short", skep.platform());
        let repository = Repository::new(engine.clone(), name.clone()).with_login(user, password);
        repository.push_copy(&image("v1"), "v1").await?;
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("first", web("v1")).await?;
        acme.deploy_live("first", json!({})).await?;
        let wrong = json!({ "kind": "short_lived", "secret": "planted-nonsense" });
        let problem = set(&acme, registry, wrong).await?.problem(400, "invalid")?;
        let detail = problem["detail"].as_str().unwrap_or_default();
        ensure!(
            detail.contains("the word is not right") && !detail.contains("nonsense"),
            "{problem}"
        );
        let right = json!({ "kind": "short_lived", "secret": "planted-open-sesame" });
        let saved = set(&acme, registry, right).await?.expect(200)?;
        ensure!(saved["check"]["status"] == "accepted", "{saved}");

        let mut spec = web("v1");
        spec["image"] = format!("{name}:v1").into();
        acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        let path = format!("{}/registry-credentials/{registry}", acme.home());
        let made = acme.client.get(&path).await?.expect(200)?;
        ensure!(made["expires_at"].is_string() && made["version"] == 2, "{made}");
        // What was made lasts for an hour: nothing is made anew.
        acme.to("restart", "web").await?;
        ensure!(acme.client.get(&path).await?.expect(200)?["version"] == 2);

        // About to end, it is made anew by whoever keeps house, and services get it without a new task.
        let id = text(&acme.app("web").await?, "/id")?.to_owned();
        let deployments = list(
            &acme.client.get(&acme.path("apps/web/deployments")).await?.expect(200)?,
            "/items",
        )?
        .to_vec();
        acme.wait_for_end(&deployments[0]).await?;
        let running = engine.running_ids(&id).await?;
        let ends = "UPDATE registry_credentials SET expires_at = now() + interval '6 minutes'";
        sql::execute(skep.database.owner(), ends).await?;
        skep.start_worker().await?;
        wait_until("the service to carry the new one", Duration::from_secs(60), async || {
            let service = engine.service_of(&id).await?.context("it is there")?;
            let label = service["Spec"]["Labels"]["skep.registry-login"].as_str();
            Ok(label.is_some_and(|label| label.ends_with("/3")))
        })
        .await?;
        ensure!(engine.running_ids(&id).await? == running, "no task was replaced");
        Ok(())
    })
}
