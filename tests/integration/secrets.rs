//! Secrets and configs through the API: sealed, versioned, never shown, and kept while something needs them.

use anyhow::ensure;
use db::secrets::keeping::rotations_tell;
use model::secret::identity;
use reqwest::Method;
use sealing::{KeyId, Keyring, Sealed};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tests::answer::text;
use tests::client::Ask;
use tests::{Outcome, Skep, Tenant, run, sql};

/// What must be nowhere but in the vault.
const VALUE: &str = "correct horse battery staple";

async fn make(tenant: &Tenant, kind: &str, name: &str) -> anyhow::Result<Value> {
    let body = json!({ "name": name, "value": VALUE });
    tenant.client.post(&tenant.path(kind), &body).await?.expect(201)
}

async fn version(tenant: &Tenant, name: &str, body: &Value) -> anyhow::Result<Value> {
    tenant.client.post(&tenant.path(&format!("secrets/{name}/versions")), body).await?.expect(201)
}

fn mounting(secrets: Value) -> Value {
    json!({ "image": "skep-demo:v1", "secrets": secrets })
}

/// The values of all versions, opened with the test's keyring.
async fn opened(skep: &Skep) -> anyhow::Result<Vec<Vec<u8>>> {
    let keyring = std::fs::read_to_string(skep.keyring.file())?;
    let keyring = Keyring::of_file(&keyring.into())?;
    let rows = "SELECT organization_id::text AS o, secret_id::text AS s, id::text AS v, key_id,
        encode(sealed, 'hex') AS sealed FROM secret_versions ORDER BY id";
    let mut values = Vec::new();
    for row in sql::rows(skep.database.owner(), rows).await? {
        let id = |name| anyhow::Ok(text(&row, name)?.parse::<uuid::Uuid>()?);
        let identity = identity(id("/o")?.into(), id("/s")?.into(), id("/v")?.into());
        let sealed = Sealed::from(hex::decode(text(&row, "/sealed")?)?);
        let key = KeyId::from(text(&row, "/key_id")?.to_owned());
        values.push(keyring.open(&key, identity.as_bytes(), &sealed)?.expose_secret().to_vec());
    }
    Ok(values)
}

#[test]
fn a_secret_is_sealed_and_told_by_everything_but_its_value() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let made = make(&acme, "secrets", "db-password").await?;
        ensure!(made["kind"] == "secret" && made["newest"]["version"] == 1, "{made}");
        ensure!(made["newest"]["bytes"] == VALUE.len(), "{made}");
        let binary = json!({ "name": "tls.key", "value_base64": "AP8=", "rotation_days": 90 });
        let made = acme.client.post(&acme.path("configs"), &binary).await?.expect(201)?;
        ensure!(made["kind"] == "config" && made["rotation_due_at"].is_string(), "{made}");
        ensure!(opened(skep).await? == [VALUE.as_bytes(), &[0, 255]]);

        // The same name is another thing among configs, and taken among secrets.
        make(&acme, "configs", "db-password").await?;
        let again = json!({ "name": "db-password", "value": "x" });
        acme.client.post(&acme.path("secrets"), &again).await?.problem(409, "already_exists")?;
        for path in
            ["secrets", "secrets/db-password", "secrets/db-password/versions", "configs/tls.key"]
        {
            let told = acme.client.get(&acme.path(path)).await?.expect(200)?.to_string();
            ensure!(told.contains("\"bytes\"") && !told.contains("horse"), "{told}");
        }
        let listed = acme.client.get(&acme.path("secrets")).await?.expect(200)?;
        ensure!(listed["items"].as_array().is_some_and(|items| items.len() == 1), "{listed}");

        // In another environment it is not there, nor for another organization.
        let globex = skep.tenant("globex").await?;
        globex.client.get(&globex.path("secrets/db-password")).await?.problem(404, "not_found")?;
        Ok(())
    })
}

#[test]
fn an_api_cannot_read_what_it_sealed() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        make(&acme, "secrets", "db-password").await?;
        // Everything that an API's role may read, as one who has taken its host would ask for it.
        let api = db::Database::new(skep.database.api_url()?.into(), 1)?;
        let refused = sql::rows(&api, "SELECT sealed FROM secret_versions").await.unwrap_err();
        ensure!(format!("{refused:#}").contains("permission denied"), "{refused:#}");
        let refused = sql::rows(&api, "SELECT * FROM secret_versions").await.unwrap_err();
        ensure!(format!("{refused:#}").contains("permission denied"), "{refused:#}");
        let refused = sql::execute(&api, "UPDATE secret_versions SET swarm_name = 'x'").await;
        ensure!(refused.is_err(), "an API rewrites no version");
        Ok(())
    })
}

#[test]
fn what_is_wrong_with_a_value_is_told_without_it() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let secrets = acme.path("secrets");
        let large = "x".repeat(512_000);
        let cases = [
            (json!({ "name": "a", "value": large }), "value"),
            (json!({ "name": "a", "value": "" }), "value"),
            (json!({ "name": "a" }), "value"),
            (json!({ "name": "a", "value": VALUE, "value_base64": "eA==" }), "value"),
            (json!({ "name": "a", "value_base64": "horse battery" }), "value_base64"),
            (json!({ "name": "../a", "value": VALUE }), "name"),
            (json!({ "name": "sec_01jd3kzzzzzzzzzzzzzzzzzzzz", "value": VALUE }), "name"),
            (json!({ "name": "a", "value": VALUE, "rotation_days": 0 }), "rotation_days"),
        ];
        for (body, field) in cases {
            let answer = acme.client.post(&secrets, &body).await?;
            let problem = answer.problem(400, "invalid")?;
            ensure!(problem["violations"][0]["field"] == field, "{problem}");
            ensure!(!problem.to_string().contains("horse"), "{problem}");
        }
        let config = json!({ "name": "a", "value": "x".repeat(1_024_000) });
        acme.client.post(&acme.path("configs"), &config).await?.problem(400, "invalid")?;
        let huge = json!({ "name": "a", "value": "x".repeat(2_200_000) });
        acme.client.post(&secrets, &huge).await?.problem(413, "too_large")?;
        let most = json!({ "name": "a", "value": "x".repeat(511_999) });
        acme.client.post(&secrets, &most).await?.expect(201)?;
        let most = json!({ "name": "a", "value": "x".repeat(1_023_999) });
        acme.client.post(&acme.path("configs"), &most).await?.expect(201)?;
        Ok(())
    })
}

#[test]
fn a_repeated_request_makes_one_version() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        make(&acme, "secrets", "key").await?;
        let path = acme.path("secrets/key/versions");
        let ask = async |value: &str| {
            let body = json!({ "value": value }).to_string().into_bytes();
            let ask = Ask { body: Some(body), headers: &[("idempotency-key", "k-1")] };
            acme.client.ask(Method::POST, &path, ask).await
        };
        let first = ask("one").await?.expect(201)?;
        // Of the value nothing is kept, so it is not what a repetition is known by.
        let again = ask("two").await?.expect(201)?;
        ensure!(first["version"] == 2 && again == first, "{first} {again}");
        let found = acme.client.get(&acme.path("secrets/key")).await?.expect(200)?;
        ensure!(found["newest"]["version"] == 2, "{found}");
        Ok(())
    })
}

#[test]
fn an_owner_is_told_once_of_each_version_that_is_too_old() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let body = json!({ "name": "key", "value": VALUE, "rotation_days": 1 });
        acme.client.post(&acme.path("secrets"), &body).await?.expect(201)?;
        make(&acme, "secrets", "other").await?;
        let tell = async || rotations_tell(skep.database.worker(), 10).await;
        ensure!(tell().await? == 0, "it is young");
        let age = "UPDATE secret_versions SET created_at = created_at - interval '25 hours'";
        sql::execute(skep.database.owner(), age).await?;
        ensure!(tell().await? == 1 && tell().await? == 0, "once, and of who asked for it");
        let told = "SELECT after FROM audit_log WHERE action = 'secret.rotation_due'";
        let told = sql::row(skep.database.owner(), told).await?;
        ensure!(told["after"]["name"] == "key" && told["after"]["version"] == 1, "{told}");
        version(&acme, "key", &json!({ "value": "2" })).await?;
        sql::execute(skep.database.owner(), age).await?;
        ensure!(tell().await? == 1, "of the next version, too");
        Ok(())
    })
}

#[test]
fn apps_mount_what_is_there_and_releases_say_which_version() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let unknown =
            json!({ "slug": "web", "image": "skep-demo:v1", "secrets": [{ "name": "key" }] });
        let answer = acme.client.post(&acme.path("apps"), &unknown).await?;
        let problem = answer.problem(400, "invalid")?;
        ensure!(problem["violations"][0]["field"] == "secrets.key", "{problem}");
        make(&acme, "secrets", "key").await?;
        // What is another environment's is not there.
        acme.client
            .post(&format!("{}/environments", acme.home()), &json!({ "slug": "dev" }))
            .await?
            .expect(201)?;
        acme.within("dev")
            .client
            .post(&acme.within("dev").path("apps"), &unknown)
            .await?
            .problem(400, "invalid")?;
        acme.create_app("web", mounting(json!([{ "name": "key" }]))).await?;
        let pinned = json!({ "secrets": [{ "name": "key", "version": 2 }] });
        let problem =
            acme.client.patch(&acme.path("apps/web"), &pinned).await?.problem(400, "invalid")?;
        ensure!(problem["violations"][0]["field"] == "secrets.key.version", "{problem}");
        acme.deploy("web", json!({})).await?;
        let release = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        ensure!(
            release["spec"]["secrets"] == json!([{ "name": "key", "version": 1 }]),
            "{release}"
        );
        let audited = "SELECT after FROM audit_log WHERE action = 'app.deploy'";
        let audited = sql::rows(skep.database.owner(), audited).await?;
        ensure!(audited[0]["after"]["mounted"] == json!(["secrets.key v1"]), "{audited:?}");

        let found = acme.client.get(&acme.path("secrets/key")).await?.expect(200)?;
        let uses = json!([
            { "app": "web", "release": null, "version": null, "live": false },
            { "app": "web", "release": 1, "version": 1, "live": false },
        ]);
        ensure!(found["used_by"] == uses, "{found}");
        let answer =
            acme.client.ask(Method::DELETE, &acme.path("secrets/key"), Ask::default()).await?;
        let problem = answer.problem(409, "in_use")?;
        ensure!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains("release v1 of web")),
            "{problem}"
        );
        skep.may_leave_unfinished();
        Ok(())
    })
}

#[test]
fn a_new_version_deploys_what_runs_with_the_newest_one() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        make(&acme, "secrets", "key").await?;
        make(&acme, "secrets", "other").await?;
        acme.create_app("web", mounting(json!([{ "name": "key" }, { "name": "other" }]))).await?;
        acme.create_app("pinned", mounting(json!([{ "name": "key", "version": 1 }]))).await?;
        acme.create_app("without", mounting(json!([]))).await?;
        acme.create_app("idle", mounting(json!([{ "name": "key" }]))).await?;
        for app in ["web", "pinned", "without"] {
            acme.deploy(app, json!({})).await?;
        }
        // Changed and not deployed: that is nobody's to deploy.
        acme.patch_app("web", json!({ "env": { "A": "b" } })).await?;
        let made = version(&acme, "other", &json!({ "value": "2", "deploy": false })).await?;
        ensure!(made["version"] == 2 && made["deployments"] == json!([]), "{made}");
        let made = version(&acme, "key", &json!({ "value": "2" })).await?;
        ensure!(made["version"] == 2 && made["not_deployed"] == json!([]), "{made}");
        let deployments = made["deployments"].as_array().cloned().unwrap_or_default();
        ensure!(deployments.len() == 1 && deployments[0]["app"] == "web", "{made}");
        ensure!(deployments[0]["release"] == 2, "{made}");
        let release = acme.client.get(&acme.path("apps/web/releases/2")).await?.expect(200)?;
        let secrets = json!([{ "name": "key", "version": 2 }, { "name": "other", "version": 1 }]);
        ensure!(release["spec"]["secrets"] == secrets, "{release}");
        ensure!(release["spec"]["env"] == json!({}), "{release}");
        let app = acme.app("web").await?;
        ensure!(app["spec"]["env"] == json!({ "A": "b" }), "the next release is as it was: {app}");
        // A deployment takes the newest of all.
        acme.deploy("web", json!({})).await?;
        let release = acme.client.get(&acme.path("apps/web/releases/3")).await?.expect(200)?;
        let secrets = json!([{ "name": "key", "version": 2 }, { "name": "other", "version": 2 }]);
        ensure!(release["spec"]["secrets"] == secrets, "{release}");
        skep.may_leave_unfinished();
        Ok(())
    })
}

#[test]
fn deployments_and_new_versions_at_once_end_with_the_newest_everywhere() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        for name in ["one", "two"] {
            make(&acme, "secrets", name).await?;
        }
        let both = json!([{ "name": "one" }, { "name": "two" }]);
        for app in 0..4 {
            acme.create_app(&format!("app-{app}"), mounting(both.clone())).await?;
            acme.deploy(&format!("app-{app}"), json!({})).await?;
        }
        let mut asking = tokio::task::JoinSet::new();
        for round in 0..6 {
            for name in ["one", "two"] {
                let (acme, body) = (acme.clone(), json!({ "value": format!("{round}") }));
                asking.spawn(async move { version(&acme, name, &body).await });
            }
            for app in 0..4 {
                let acme = acme.clone();
                asking.spawn(async move { acme.deploy(&format!("app-{app}"), json!({})).await });
            }
        }
        while let Some(done) = asking.join_next().await {
            done??;
        }
        let newest = "SELECT DISTINCT ON (app_id) spec -> 'secrets' AS secrets FROM releases ORDER BY app_id, number DESC";
        let newest = sql::rows(skep.database.owner(), newest).await?;
        ensure!(newest.len() == 4, "{newest:?}");
        for release in newest {
            for secret in release["secrets"].as_array().into_iter().flatten() {
                ensure!(secret["version"] == 7, "{release}");
            }
        }
        skep.may_leave_unfinished();
        Ok(())
    })
}
