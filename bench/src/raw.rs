//! The raw side: the same operations as plain calls to Docker, by a caller who has everything ready
//! (network, probe, digest) and waits for the same things as Skep does.
//!
//! The specs are Skep's own, as Docker holds them after a warm-up, under other names and labels; and
//! what Docker holds after a raw call is compared with them, so that both sides stay the same.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use bollard::models::ServiceSpec;
use bollard::query_parameters::UpdateServiceOptionsBuilder;
use serde_json::{Map, Value, json};
// `tests` alone would be this file's own.
use ::tests::docker::Engine;
use ::tests::wait_until;
use tokio::time::sleep;

use crate::operation::{Operation, Timeline};
use crate::watch::{Labels, Pace, Watched, between, since};

/// What Skep's label keys start with, and ours instead: Skep must not take these services for its
/// own.
const PREFIXES: (&str, &str) = ("skep.", "bench.");

const LABELS: Labels = Labels { deployment: "bench.deployment", spec: "bench.spec" };

/// How long the tasks of a removed service may take to end.
const GONE: Duration = Duration::from_secs(60);

/// The specs that Skep rendered of v1 and v2, and how closely services are watched.
#[derive(Clone)]
pub(crate) struct Raw<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) v1: Value,
    pub(crate) v2: Value,
    pub(crate) replicas: i32,
    pub(crate) pace: Pace,
}

/// The spec of a service as Docker holds it: in the engine's own JSON, because bollard loses the
/// health check of one that it reads.
pub(crate) async fn spec_of(engine: &Engine, service: &str) -> Result<Value> {
    let mut found = engine.get(&format!("/services/{service}")).await?;
    Ok(found["Spec"].take())
}

impl Raw<'_> {
    /// Does an operation on the service of this name. The clock starts before the first call.
    pub(crate) async fn operate(&self, name: &str, operation: Operation) -> Result<Timeline> {
        let spec = self.spec(name, operation)?;
        let window = spec["UpdateConfig"]["Monitor"].as_u64().map(Duration::from_nanos);
        let window = window.context("the spec says how long a task is watched")?;
        let sending = sendable(&spec)?;
        let watched = Watched {
            docker: self.engine.client(),
            service: name,
            labels: LABELS,
            replicas: operation.replicas(self.replicas),
            pace: self.pace,
        };
        let before = watched.written_by().await?;
        let (began, sent) = (SystemTime::now(), Instant::now());
        let asking = async {
            self.ask(name, operation, sending).await?;
            anyhow::Ok(since(sent))
        };
        let watching = async {
            let (_, changed) = watched.spec_changed(before.as_deref(), began).await?;
            let spec_changed = between(sent, changed);
            watched.running().await?;
            let runs = Instant::now();
            let running = since(sent);
            // Both are waited for: the window of the newest replica, and Swarm's own word.
            let updated =
                async { if operation.is_rolling() { watched.completed().await } else { Ok(()) } };
            let window = async {
                sleep(window.saturating_sub(runs.elapsed())).await;
                Ok(())
            };
            tokio::try_join!(updated, window)?;
            ensure!(watched.all_run().await?, "not all of {name} ran through the window");
            Ok((spec_changed, running, since(sent)))
        };
        let (answered, (spec_changed, running, verdict)) = tokio::try_join!(asking, watching)?;
        let held = spec_of(self.engine, name).await?;
        ensure!(held == spec, "Docker holds another spec of {name} than Skep's:\n{held}\n{spec}");
        Ok(Timeline { answered, spec_changed, running, verdict })
    }

    /// What is sent for an operation on the service of this name.
    fn spec(&self, name: &str, operation: Operation) -> Result<Value> {
        let template = if operation == Operation::Update { &self.v2 } else { &self.v1 };
        let mut spec = renamed(template, name, operation.title())?;
        spec["Mode"]["Replicated"]["Replicas"] = operation.replicas(self.replicas).into();
        Ok(spec)
    }

    /// Fails unless Skep's service carries what is sent here for this operation; but for its
    /// labels, which tell of the app.
    pub(crate) async fn ensure_same(&self, service: &str, operation: Operation) -> Result<()> {
        let held = spec_of(self.engine, service).await?;
        let mut skeps = renamed(&held, service, operation.title())?;
        let mut own = self.spec(service, operation)?;
        for spec in [&mut skeps, &mut own] {
            spec["Labels"].take();
            spec["TaskTemplate"]["ContainerSpec"]["Labels"].take();
        }
        ensure!(skeps == own, "{}: Skep sends\n{skeps}\nand not\n{own}", operation.title());
        Ok(())
    }

    async fn ask(&self, name: &str, operation: Operation, spec: ServiceSpec) -> Result<()> {
        let docker = self.engine.client();
        if operation == Operation::Create {
            docker.create_service(spec, None).await?;
            return Ok(());
        }
        // An update names the version that it changes, so whoever updates looks first.
        let service = docker.inspect_service(name, None).await?;
        let version = service.version.and_then(|version| version.index);
        let version = i32::try_from(version.context("a service has a version")?)?;
        let options = UpdateServiceOptionsBuilder::new().version(version).build();
        docker.update_service(name, spec, options, None).await?;
        Ok(())
    }

    /// Removes the service, and waits until its containers are gone.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        self.engine.delete(&format!("/services/{name}")).await?;
        let label = format!("com.docker.swarm.service.name={name}");
        wait_until("the containers of a removed service to end", GONE, async || {
            Ok(self.engine.labelled("containers/json", &label).await?.is_empty())
        })
        .await
    }
}

/// Skep's spec under another name, with other label keys; `writer`: what recognises this spec.
fn renamed(template: &Value, name: &str, writer: &str) -> Result<Value> {
    let mut spec = template.clone();
    spec["Name"] = name.into();
    relabel(&mut spec["Labels"])?;
    spec["Labels"][LABELS.deployment] = writer.into();
    let task = &mut spec["TaskTemplate"];
    relabel(&mut task["ContainerSpec"]["Labels"])?;
    task["Networks"][0]["Aliases"] = json!([name, format!("{name}.internal")]);
    Ok(spec)
}

fn relabel(labels: &mut Value) -> Result<()> {
    let old = labels.as_object_mut().context("a spec has labels")?;
    let (from, to) = PREFIXES;
    let renamed: Map<String, Value> = std::mem::take(old)
        .into_iter()
        .map(|(key, value)| match key.strip_prefix(from) {
            Some(rest) => (format!("{to}{rest}"), value),
            None => (key, value),
        })
        .collect();
    *old = renamed;
    Ok(())
}

/// A spec as bollard sends it. Docker tells `Healthcheck` and bollard knows `HealthCheck` only.
fn sendable(spec: &Value) -> Result<ServiceSpec> {
    let mut spec = spec.clone();
    let container = spec["TaskTemplate"]["ContainerSpec"].as_object_mut();
    let container = container.context("a spec has a container")?;
    let check = container.remove("Healthcheck").context("the spec has a health check")?;
    container.insert("HealthCheck".into(), check);
    Ok(serde_json::from_value(spec)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_spec_is_skeps_under_another_name() {
        let template = json!({
            "Name": "web-01", "Labels": { "skep.app": "a", "skep.deployment": "d" },
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "a:1", "Labels": { "skep.spec": "s" },
                    "Healthcheck": { "Test": ["CMD", "/skep-probe"] },
                },
                "Networks": [{ "Target": "n", "Aliases": ["web", "web.internal"] }],
            },
        });
        let spec = renamed(&template, "raw-1", "create").unwrap();
        assert_eq!(spec["Labels"], json!({ "bench.app": "a", "bench.deployment": "create" }));
        assert_eq!(spec["TaskTemplate"]["ContainerSpec"]["Labels"], json!({ "bench.spec": "s" }));
        assert_eq!(spec["TaskTemplate"]["Networks"][0]["Target"], "n");
        let sent = sendable(&spec).unwrap();
        let container = sent.task_template.unwrap().container_spec.unwrap();
        assert!(container.health_check.is_some());
    }
}
