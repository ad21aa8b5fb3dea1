//! The search for planted values: everything that a story with secrets leaves behind is looked through, whatever it is written in.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::broker::{Broker, deployments_queue};
use tests::docker::Engine;
use tests::specs::web;
use tests::{Outcome, Skep, Tenant, run, sql, wait_until};

/// The values that are planted.
const PLANTED: &[&str] = &[
    "planted-registry-password-6b21f0",
    "planted-secret-90f3c1",
    "planted-second-version-77ab20",
    "planted-config-5ce811",
    "planted-refused-12d9e4",
];

/// The forms in which a value may stand somewhere: as it is, in hexadecimal, and in base64 whatever is before it.
fn forms(value: &str) -> Vec<String> {
    let hexadecimal = hex::encode(value);
    let base64 = (0..3).map(|before| {
        let text = STANDARD.encode([&vec![b'x'; before], value.as_bytes()].concat());
        // Without what depends on its neighbours.
        text[before.div_ceil(3) * 4..text.trim_end_matches('=').len() - 4].to_owned()
    });
    [value.to_owned(), hexadecimal.to_uppercase(), hexadecimal].into_iter().chain(base64).collect()
}

/// What was looked through: how many bytes, and which values were found.
#[derive(Default)]
struct Scan(BTreeMap<&'static str, (usize, Vec<&'static str>)>);

impl Scan {
    fn look(&mut self, place: &'static str, text: &str) {
        let (bytes, found) = self.0.entry(place).or_default();
        *bytes += text.len();
        let is_there = |value: &&&'static str| forms(value).iter().any(|form| text.contains(form));
        found.extend(PLANTED.iter().filter(is_there).copied());
    }
}

async fn tables(skep: &Skep) -> anyhow::Result<Vec<(String, String)>> {
    let names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let mut tables = Vec::new();
    for name in sql::rows(skep.database.owner(), names).await? {
        let name = text(&name, "/tablename")?.to_owned();
        let all = format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') AS rows FROM {name} t");
        let rows = sql::row(skep.database.owner(), &all).await?;
        tables.push((name, text(&rows, "/rows")?.to_owned()));
    }
    Ok(tables)
}

async fn tell_the_story(skep: &Skep, acme: &Tenant) -> Outcome {
    let make = async |kind: &str, name: &str, value: &str| {
        let body = json!({ "name": name, "value": value });
        acme.client.post(&acme.path(kind), &body).await?.expect(201)
    };
    make("secrets", "db-password", PLANTED[1]).await?;
    make("configs", "page", PLANTED[3]).await?;
    // Refused, in every way in which one that has a value can be.
    for body in [
        json!({ "name": "db-password", "value": PLANTED[4] }),
        json!({ "name": "no name", "value": PLANTED[4] }),
        json!({ "name": "large", "value": PLANTED[4].repeat(30_000) }),
        json!({ "name": "twice", "value": PLANTED[4], "value_base64": PLANTED[4] }),
        json!({ "name": "encoded", "value_base64": PLANTED[4] }),
        json!({ "name": PLANTED[4].repeat(4), "value": { "nested": PLANTED[4] } }),
    ] {
        let answer = acme.client.post(&acme.path("secrets"), &body).await?;
        ensure!([400, 409].contains(&answer.status), "{body}");
    }
    let mut spec = web("v1");
    spec["secrets"] = json!([{ "name": "db-password" }]);
    spec["configs"] = json!([{ "name": "page", "path": "/srv/page" }]);
    acme.create_app("web", spec).await?;
    let first = acme.deploy("web", json!({})).await?;
    skep.start_worker_saying("trace").await?;
    acme.wait_for(&first, "succeeded", "live").await?;
    // A registry that is not there: what it is to be shown is kept all the same.
    let body = json!({ "kind": "basic", "username": "acme", "secret": PLANTED[0] });
    let path = format!("{}/registry-credentials/127.0.0.1:1", acme.home());
    let saved = acme.client.put(&path, &body).await?.expect(200)?;
    ensure!(saved["check"]["status"] == "unreachable", "{saved}");
    let told = acme.client.get(&path).await?.expect(200)?.to_string();
    ensure!(!told.contains(PLANTED[0]), "{told}");
    // A second version, while its worker is killed.
    let body = json!({ "value": PLANTED[2] });
    let made = acme
        .client
        .post_once(&acme.path("secrets/db-password/versions"), &body, "key")
        .await?
        .expect(201)?;
    skep.workers().await[0].kill().await?;
    skep.start_worker_saying("trace").await?;
    let path = format!("apps/web/deployments/{}", text(&made, "/deployments/0/deployment")?);
    let second = acme.client.get(&acme.path(&path)).await?.expect(200)?;
    acme.wait_for(&second, "succeeded", "live").await?;
    // And a release that fails with both, so that there is evidence.
    acme.patch_app("web", json!({ "image": "skep-demo:v3" })).await?;
    let bad = acme.deploy("web", json!({})).await?;
    acme.wait_for(&bad, "rolled_back", "unhealthy").await?;
    Ok(())
}

#[test]
fn planted_values_are_found_nowhere() -> Outcome {
    run(async |skep| {
        let (mut process, url) = skep.start_api_process_saying("trace").await?;
        let acme = skep.tenant("acme").await?;
        let acme = Tenant { client: acme.client.at(&url), ..acme };
        let mut scan = Scan::default();
        // A broker keeps a message until a worker has it: this is what one looks like.
        acme.create_app("other", web("v1")).await?;
        acme.deploy("other", json!({})).await?;
        let broker = Broker::connect().await?;
        let message = wait_until_some(&broker, &skep.queue_prefix()).await?;
        scan.look("broker messages", &String::from_utf8_lossy(&message));
        tell_the_story(skep, &acme).await?;

        let engine = Engine::connect()?;
        let id = text(&acme.app("web").await?, "/id")?.to_owned();
        let service = engine.service_of(&id).await?.context("it is there")?;
        scan.look("docker inspect service", &service.to_string());
        for task in engine.all_tasks_of(&id).await? {
            scan.look("docker inspect task", &task.to_string());
            if let Some(container) = task
                .pointer("/Status/ContainerStatus/ContainerID")
                .and_then(Value::as_str)
                .filter(|id| !id.is_empty())
                && let Some(found) = engine.find(&format!("/containers/{container}/json")).await?
            {
                scan.look("docker inspect container", &found.to_string());
            }
        }
        let label = format!("skep.platform={}", skep.platform());
        for secret in engine.labelled("secrets", &label).await? {
            scan.look("docker inspect secret", &secret.to_string());
        }
        for kind in ["secrets", "configs"] {
            for secret in list(&acme.client.get(&acme.path(kind)).await?.expect(200)?, "/items")? {
                let path = acme.path(&format!("{kind}/{}", text(secret, "/name")?));
                for path in [format!("{path}/versions"), path] {
                    scan.look(
                        "answers of the API",
                        &acme.client.get(&path).await?.expect(200)?.to_string(),
                    );
                }
            }
        }
        for (name, rows) in tables(skep).await? {
            let place = match name.as_str() {
                "deployment_events" => "table deployment_events",
                "audit_log" => "table audit_log",
                "deployment_evidence" => "table deployment_evidence",
                "idempotency_keys" => "table idempotency_keys",
                "secret_versions" => "table secret_versions",
                _ => "all other tables",
            };
            scan.look(place, &rows);
        }
        for worker in skep.workers().await.iter() {
            scan.look("log of workers (trace)", &worker.log().join("\n"));
        }
        // What it says when it crashes, and what it leaves behind.
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(pid.context("it runs")?, Signal::ABORT)?;
        let status = process.ended().await?;
        ensure!(status.signal() == Some(6) && !status.core_dumped(), "{status}: no core");
        scan.look("log of the API (trace), crash included", &process.log().join("\n"));

        println!("{:<40} {:>9}  found", "looked through", "bytes");
        for (place, (bytes, found)) in &scan.0 {
            println!("{place:<40} {bytes:>9}  {found:?}");
        }
        ensure!(scan.0.values().all(|(bytes, _)| *bytes > 0), "something was empty");
        ensure!(scan.0.values().all(|(_, found)| found.is_empty()), "a value was found");

        // That the search finds what is there: Docker shows configs to whoever may ask it, in base64.
        let mut control = Scan::default();
        for config in engine.labelled("configs", &label).await? {
            control.look("docker inspect config", &config.to_string());
        }
        ensure!(control.0["docker inspect config"].1 == [PLANTED[3]], "the search is blind");
        Ok(())
    })
}

async fn wait_until_some(broker: &Broker, prefix: &str) -> anyhow::Result<Vec<u8>> {
    let queue = deployments_queue(prefix);
    wait_until("a message", Duration::from_secs(10), async || Ok(broker.depth(&queue).await? > 0))
        .await?;
    broker.take(&queue).await?.context("a message")
}
