//! Drift: what somebody else does to services behind the platform's back.

use std::time::Duration;

use anyhow::Context as _;
use bollard::models::{
    HealthConfig, Ipam, IpamConfig, NetworkCreateRequest, ServiceSpec, TaskSpec,
    TaskSpecContainerSpec,
};
use bollard::query_parameters::UpdateServiceOptionsBuilder;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::{Outcome, Skep, Tenant, run, sql, wait_for, wait_until};

use crate::specs::{image, web};

/// Longer than a look at everything takes to come by itself.
const PATIENCE: Duration = Duration::from_secs(90);

/// `docker service update` by somebody else.
async fn meddle(engine: &Engine, app: &Value, change: impl Fn(&mut ServiceSpec)) -> Outcome {
    let service = engine.service_of(text(app, "/id")?).await?.context("no service")?;
    let id = text(&service, "/ID")?;
    let found = engine.client().inspect_service(id, None).await?;
    let version = found.version.and_then(|version| version.index).context("no version")?;
    let mut spec = found.spec.context("no spec")?;
    // The client loses it as it reads.
    container(&mut spec).health_check = Some(health_check(&service)?);
    change(&mut spec);
    let options = UpdateServiceOptionsBuilder::new().version(i32::try_from(version)?).build();
    engine.client().update_service(id, spec, options, None).await?;
    Ok(())
}

fn health_check(service: &Value) -> anyhow::Result<HealthConfig> {
    let told = &service["Spec"]["TaskTemplate"]["ContainerSpec"]["Healthcheck"];
    Ok(serde_json::from_value(told.clone())?)
}

fn template(spec: &mut ServiceSpec) -> &mut TaskSpec {
    spec.task_template.get_or_insert_default()
}

fn container(spec: &mut ServiceSpec) -> &mut TaskSpecContainerSpec {
    template(spec).container_spec.get_or_insert_default()
}

fn replicas(count: i64) -> impl Fn(&mut ServiceSpec) {
    move |spec| {
        if let Some(mode) = spec.mode.as_mut().and_then(|mode| mode.replicated.as_mut()) {
            mode.replicas = Some(count);
        }
    }
}

/// The newest deployment, once it is a repair that has ended.
async fn repair(tenant: &Tenant) -> anyhow::Result<Value> {
    let path = tenant.path("apps/web/deployments");
    let repair = wait_for("a repair", PATIENCE, async || {
        let newest = list(&tenant.client.get(&path).await?.expect(200)?, "/items")?[0].clone();
        Ok((newest["kind"] == "repair").then_some(newest))
    })
    .await?;
    tenant.wait_for_end(&repair).await
}

async fn drift(skep: &Skep, query: &str) -> anyhow::Result<Vec<Value>> {
    let page = skep.operator.get(&format!("/v1/admin/drift{query}")).await?.expect(200)?;
    Ok(list(&page, "/items")?.to_vec())
}

async fn deployed(skep: &Skep) -> anyhow::Result<(Tenant, Engine, Value)> {
    skep.start_worker().await?;
    let acme = skep.tenant("acme").await?;
    let app = acme.create_app("web", web("v1")).await?;
    acme.deploy_live("web", json!({})).await?;
    Ok((acme, Engine::connect()?, app))
}

#[test]
fn what_somebody_else_changed_is_repaired_and_told() -> Outcome {
    run(async |skep| {
        let (acme, engine, app) = deployed(skep).await?;
        meddle(&engine, &app, |spec| {
            container(spec).image = Some(image("v2"));
            replicas(2)(spec);
        })
        .await?;
        let repaired = repair(&acme).await?;
        assert_eq!(
            (&repaired["status"], &repaired["reason"]["code"], &repaired["requested_by"]),
            (&"succeeded".into(), &"repaired".into(), &Value::Null),
            "{repaired:#}"
        );
        let why = text(&repaired, "/timeline/0/message")?;
        assert!(why.contains("2 replicas and not 1") && why.contains(&image("v2")), "{why}");
        let service = engine.service_of(text(&app, "/id")?).await?.context("no service")?;
        assert_eq!(service["Spec"]["Mode"]["Replicated"]["Replicas"], 1);
        let (_, answer) = engine.ask_from(text(&app, "/id")?, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v1");
        let told = &drift(skep, "?resolved=true").await?[0];
        assert_eq!((&told["kind"], &told["repair"]), (&"changed".into(), &repaired["id"]));
        wait_until("it to be resolved", PATIENCE, async || Ok(drift(skep, "").await?.is_empty()))
            .await?;
        let audited = "SELECT count(*) AS count FROM audit_log WHERE action = 'app.repair' AND token_id IS NULL";
        assert_eq!(sql::row(skep.database.owner(), audited).await?["count"], 1);
        Ok(())
    })
}

#[test]
fn a_variable_that_somebody_adds_is_taken_away_and_never_told() -> Outcome {
    run(async |skep| {
        let (acme, engine, app) = deployed(skep).await?;
        let before = engine.service_of(text(&app, "/id")?).await?.context("no service")?;
        meddle(&engine, &app, |spec| {
            container(spec).env.get_or_insert_default().push("TOKEN=hunter2".into());
            template(spec).placement.get_or_insert_default().constraints =
                Some(vec!["node.role==manager".into()]);
        })
        .await?;
        let repaired = repair(&acme).await?;
        assert_eq!(repaired["reason"]["code"], "repaired", "{repaired:#}");
        let why = text(&repaired, "/timeline/0/message")?;
        assert!(why.ends_with(": its environment variables, its placement"), "{why}");
        assert!(!repaired.to_string().contains("hunter2"), "{repaired:#}");
        let after = engine.service_of(text(&app, "/id")?).await?.context("no service")?;
        assert_eq!(after["Spec"]["TaskTemplate"], before["Spec"]["TaskTemplate"]);
        Ok(())
    })
}

#[test]
fn a_health_check_that_somebody_changes_comes_back() -> Outcome {
    run(async |skep| {
        let (acme, engine, app) = deployed(skep).await?;
        let before = engine.service_of(text(&app, "/id")?).await?.context("no service")?;
        let weaker = HealthConfig { retries: Some(100), ..health_check(&before)? };
        meddle(&engine, &app, |spec| container(spec).health_check = Some(weaker.clone())).await?;
        let repaired = repair(&acme).await?;
        assert_eq!(repaired["reason"]["code"], "repaired", "{repaired:#}");
        let why = text(&repaired, "/timeline/0/message")?;
        assert!(why.contains("its health check perhaps"), "{why}");
        let after = engine.service_of(text(&app, "/id")?).await?.context("no service")?;
        assert_eq!(after["Spec"]["TaskTemplate"], before["Spec"]["TaskTemplate"]);
        Ok(())
    })
}

#[test]
fn a_service_that_is_gone_comes_back() -> Outcome {
    run(async |skep| {
        let (acme, engine, app) = deployed(skep).await?;
        let service = engine.service_of(text(&app, "/id")?).await?.context("no service")?;
        assert!(engine.delete(&format!("/services/{}", text(&service, "/ID")?)).await?);
        let repaired = repair(&acme).await?;
        assert_eq!(repaired["status"], "succeeded", "{repaired:#}");
        assert!(text(&repaired, "/timeline/0/message")?.contains("gone"), "{repaired:#}");
        let (_, answer) = engine.ask_from(text(&app, "/id")?, "http://web:8080/").await?;
        assert_eq!(answer["version"], "v1");
        Ok(())
    })
}

#[test]
fn what_was_taken_back_is_told_and_nothing_is_touched() -> Outcome {
    run(async |skep| {
        let (acme, engine, app) = deployed(skep).await?;
        let id = text(&app, "/id")?;
        let before = engine.running_ids(id).await?;
        // A worker that looked in between would repair it: Swarm has to be faster.
        skep.workers().await[0].stop().await?;
        meddle(&engine, &app, |spec| {
            container(spec).image = Some("skep-demo:no-such-tag".into());
        })
        .await?;
        wait_until("Swarm to take it back", PATIENCE, async || {
            let service = engine.service_of(id).await?.context("no service")?;
            Ok(service["UpdateStatus"]["State"] == "rollback_completed")
        })
        .await?;
        skep.start_worker().await?;
        let told = wait_for("the report", PATIENCE, async || {
            Ok(drift(skep, "?resolved=true").await?.pop())
        })
        .await?;
        assert_eq!((&told["kind"], &told["repair"]), (&"taken_back".into(), &Value::Null));
        assert!(!told["resolved_at"].is_null(), "{told:#}");
        assert_eq!(engine.running_ids(id).await?, before);
        let path = acme.path("apps/web/deployments");
        let deployments = acme.client.get(&path).await?.expect(200)?;
        assert_eq!(list(&deployments, "/items")?.len(), 1, "{deployments:#}");
        Ok(())
    })
}

#[test]
fn drift_is_only_reported_where_that_is_the_setting() -> Outcome {
    run(async |skep| {
        let report = "UPDATE platform SET on_drift = 'report'";
        sql::execute(skep.database.owner(), report).await?;
        let (acme, engine, app) = deployed(skep).await?;
        meddle(&engine, &app, |spec| {
            let limits = &mut template(spec).resources.get_or_insert_default().limits;
            limits.get_or_insert_default().memory_bytes = Some(4 << 30);
        })
        .await?;
        let told =
            wait_for("the report", PATIENCE, async || Ok(drift(skep, "").await?.pop())).await?;
        assert_eq!((&told["kind"], &told["app"]), (&"changed".into(), &app["id"]), "{told:#}");
        assert!(text(&told, "/sentence")?.ends_with(": its limits"), "{told:#}");
        // A deployment of the tenant's settles it, and does not take it for what was live before.
        acme.deploy_live("web", json!({})).await?;
        let service = engine.service_of(text(&app, "/id")?).await?.context("no service")?;
        let limits = &service["Spec"]["TaskTemplate"]["Resources"]["Limits"];
        assert_eq!(limits["MemoryBytes"], 256 << 20);
        wait_until("it to be resolved", PATIENCE, async || Ok(drift(skep, "").await?.is_empty()))
            .await?;
        let path = acme.path("apps/web/deployments");
        let deployments = acme.client.get(&path).await?.expect(200)?;
        assert!(list(&deployments, "/items")?.iter().all(|one| one["kind"] == "deploy"));
        Ok(())
    })
}

#[test]
fn an_unknown_service_is_left_alone_and_an_orphan_is_taken_away() -> Outcome {
    run(async |skep| {
        let (acme, engine, app) = deployed(skep).await?;
        let service = engine.service_of(text(&app, "/id")?).await?.context("no service")?;
        let found = engine.client().inspect_service(text(&service, "/ID")?, None).await?;
        let orphan = found.spec.context("no spec")?;
        let mut unknown = orphan.clone();
        unknown.name = Some(format!("{}-unknown", skep.platform()));
        engine.client().create_service(unknown, None).await?;
        let told =
            wait_for("the report", PATIENCE, async || Ok(drift(skep, "").await?.pop())).await?;
        assert_eq!((&told["kind"], &told["object_type"]), (&"unknown".into(), &"service".into()));
        let removal = acme.remove("web").await?;
        acme.wait_for(&removal, "succeeded", "removed").await?;
        // A worker that was stopped for a minute wakes up in the middle of its call.
        engine.client().create_service(orphan, None).await?;
        wait_until("the orphan to go", PATIENCE, async || {
            let all = drift(skep, "?resolved=true").await?;
            Ok(all.iter().any(|one| one["kind"] == "orphan"))
        })
        .await?;
        let left =
            engine.labelled("services", &format!("skep.platform={}", skep.platform())).await?;
        assert_eq!(left.len(), 1, "{left:#?}");
        assert_eq!(left[0]["Spec"]["Name"], told["object"]);
        Ok(())
    })
}

#[test]
fn a_network_that_no_environment_has_is_left_alone_and_told_until_it_is_gone() -> Outcome {
    run(async |skep| {
        let (acme, engine, _) = deployed(skep).await?;
        let environment = format!("{}/environments/production", acme.home());
        let environment = acme.client.get(&environment).await?.expect(200)?;
        let ours = text(&environment, "/network/name")?;
        let labels = engine.get(&format!("/networks/{ours}?scope=swarm")).await?["Labels"].clone();
        // As a call of a worker that was stopped for a minute leaves it: with the labels of an environment that has another one.
        let name = format!("{ours}-late");
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("overlay".into()),
            labels: Some(serde_json::from_value(labels)?),
            ..NetworkCreateRequest::default()
        };
        engine.client().create_network(request).await?;
        let told =
            wait_for("the report", PATIENCE, async || Ok(drift(skep, "").await?.pop())).await;
        let removed = engine.delete(&format!("/networks/{name}")).await?;
        let told = told?;
        assert_eq!((&told["kind"], &told["object_type"]), (&"unknown".into(), &"network".into()));
        assert_eq!(told["object"], *name);
        assert!(removed, "it was left alone");
        wait_until("the report to end", PATIENCE, async || Ok(drift(skep, "").await?.is_empty()))
            .await
    })
}

#[test]
fn a_network_that_is_not_as_it_should_be_and_one_in_its_way_are_told() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let engine = Engine::connect()?;
        let network = |name: String, subnet: &str| {
            let config = IpamConfig { subnet: Some(subnet.to_owned()), ..IpamConfig::default() };
            let ipam = Ipam { config: Some(vec![config]), ..Ipam::default() };
            NetworkCreateRequest { name, ipam: Some(ipam), ..NetworkCreateRequest::default() }
        };
        let path = format!("{}/environments/production", acme.home());
        let environment = acme.client.get(&path).await?.expect(200)?;
        let subnet = text(&environment, "/network/subnet")?;
        // Nothing is deployed yet: somebody else was there first.
        let ours = text(&environment, "/network/name")?.to_owned();
        let changed = NetworkCreateRequest {
            driver: Some("overlay".into()),
            internal: Some(true),
            ..network(ours.clone(), subnet)
        };
        engine.client().create_network(changed).await?;
        let inside = subnet.replace("/24", "/28");
        let bridge = format!("{}-bridge", skep.platform());
        engine.client().create_network(network(bridge.clone(), &inside)).await?;
        let told = async |kind: &str| {
            let found = wait_for(kind, PATIENCE, async || {
                Ok(drift(skep, "").await?.into_iter().find(|found| found["kind"] == kind))
            });
            Ok::<_, anyhow::Error>(text(&found.await?, "/sentence")?.to_owned())
        };
        let told = (told("changed").await, told("overlap").await);
        let reserved = skep.operator.get("/v1/admin/reserved-ranges").await;
        let removed = (
            engine.delete(&format!("/networks/{ours}")).await?,
            engine.delete(&format!("/networks/{bridge}")).await?,
        );
        let (changed, overlap) = (told.0?, told.1?);
        println!("{changed}\n{overlap}");
        assert_eq!(removed, (true, true), "both were left alone");
        assert!(changed.contains(&ours) && changed.contains("it is internal and"), "{changed}");
        assert!(changed.contains("not this installation's"), "{changed}");
        assert!(overlap.contains(&inside) && overlap.contains(&bridge), "{overlap}");
        let reserved = reserved?.expect(200)?;
        let of_docker = list(&reserved, "/items")?
            .iter()
            .any(|range| range["range"] == *inside && range["source"] == "docker");
        assert!(of_docker, "{reserved:#}");
        wait_until("the reports to end", PATIENCE, async || Ok(drift(skep, "").await?.is_empty()))
            .await
    })
}
