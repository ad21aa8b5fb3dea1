//! The first deployment of an app: what was asked for is what runs.

use serde_json::{Value, json};
use tests::answer::text;
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::web;

#[test]
fn succeeds_and_runs_what_was_asked_for() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["cpu"] = 1.into();
        spec["memory"] = 512.into();
        spec["labels"] = json!({ "team": "shop" });
        spec["tmpfs"] = json!([{ "path": "/tmp", "size": 16 }]);
        spec["stop_signal"] = "SIGINT".into();
        let app = acme.create_app("web", spec).await?;
        let ended = acme.deploy_live("web", json!({})).await?;
        assert!(text(&ended, "/reason/sentence")?.contains("1 of 1 replicas"), "{ended:#}");

        let id = text(&app, "/id")?;
        let service = engine.service_of(id).await?.unwrap();
        let environment = acme
            .client
            .get(&format!("{}/environments/production", acme.home()))
            .await?
            .expect(200)?;
        let release = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        let owner = json!({
            "skep.platform": skep.platform(), "skep.organization": acme.organization["id"],
            "skep.environment": environment["id"], "skep.app": id,
        });
        let mut labels = owner.clone();
        labels["skep.release"] = release["id"].clone();
        labels["skep.deployment"] = ended["id"].clone();
        let spec = &service["Spec"];
        assert_eq!(spec["Labels"], labels);
        assert_eq!(spec["Mode"], json!({ "Replicated": { "Replicas": 1 } }));
        assert_eq!(spec["EndpointSpec"], json!({ "Mode": "dnsrr" }));
        assert_eq!(spec["UpdateConfig"], rollout("rollback"));
        assert_eq!(spec["RollbackConfig"], rollout("pause"));

        let task = &spec["TaskTemplate"];
        assert_eq!(
            task["Resources"],
            json!({
                "Limits": { "NanoCPUs": 1_000_000_000, "MemoryBytes": 512 << 20, "Pids": 1024 },
                "Reservations": { "NanoCPUs": 50_000_000, "MemoryBytes": 256 << 20 },
            })
        );
        assert_eq!(task["RestartPolicy"]["Condition"], "any");
        assert_eq!(task["LogDriver"]["Options"], json!({ "max-size": "10m", "max-file": "3" }));
        let network = &environment["network"];
        let found =
            engine.get(&format!("/networks/{}?scope=swarm", text(network, "/name")?)).await?;
        assert_eq!(
            task["Networks"],
            json!([{ "Target": found["Id"], "Aliases": ["web", "web.internal"] }])
        );

        let container = &task["ContainerSpec"];
        let mut container_labels = owner;
        container_labels["tenant.team"] = "shop".into();
        container_labels["skep.spec"] = container["Labels"]["skep.spec"].clone();
        assert_eq!(container["Labels"], container_labels);
        assert_eq!(container["CapabilityDrop"], json!(["ALL"]));
        assert_eq!(container["StopSignal"], "SIGINT");
        assert_eq!(container["Init"], true);
        assert_eq!(container["Image"], release["resolved_image"]);
        assert!(
            text(&release, "/resolved_image")?.starts_with("sha256:"),
            "a local image runs by its id"
        );
        assert_eq!(
            container["Healthcheck"],
            json!({
                "Test": ["CMD", "/skep-probe", "http", "8080", "1800", "/health"],
                "Interval": 1_000_000_000, "Timeout": 2_000_000_000, "Retries": 2,
            })
        );
        let probe = &container["Configs"][0]["File"];
        assert_eq!(probe, &json!({ "Name": "/skep-probe", "UID": "0", "GID": "0", "Mode": 0o555 }));

        // And what the node made of it.
        let made =
            engine.get(&format!("/containers/{}/json", engine.container_of(id).await?)).await?;
        assert_eq!(made["State"]["Health"]["Status"], "healthy");
        let host = &made["HostConfig"];
        assert_eq!((&host["Privileged"], &host["PidsLimit"]), (&false.into(), &1024.into()));
        assert!(
            host["Binds"].is_null()
                && host["PortBindings"].as_object().is_none_or(serde_json::Map::is_empty),
            "{host:#}"
        );
        Ok(())
    })
}

fn rollout(action: &str) -> Value {
    // A delay of zero is left out by the engine.
    json!({
        "Parallelism": 1, "FailureAction": action, "Monitor": 5_000_000_000_i64,
        "MaxFailureRatio": 0.3, "Order": "start-first",
    })
}

#[test]
fn makes_the_environments_own_encrypted_network() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        let environment = acme
            .client
            .get(&format!("{}/environments/production", acme.home()))
            .await?
            .expect(200)?;
        let (name, subnet) =
            (text(&environment, "/network/name")?, text(&environment, "/network/subnet")?);
        assert_eq!(
            engine.find(&format!("/networks/{name}?scope=swarm")).await?,
            None,
            "made on first use"
        );
        acme.deploy_live("web", json!({})).await?;
        let network = engine.get(&format!("/networks/{name}?scope=swarm")).await?;
        assert_eq!((&network["Driver"], &network["Scope"]), (&"overlay".into(), &"swarm".into()));
        assert!(network["Options"].get("encrypted").is_some(), "{network:#}");
        assert_eq!(network["IPAM"]["Config"][0]["Subnet"], subnet);
        assert_eq!((&network["Attachable"], &network["Ingress"]), (&false.into(), &false.into()));
        assert_eq!(
            network["Labels"],
            json!({
                "skep.platform": skep.platform(), "skep.organization": acme.organization["id"],
                "skep.environment": environment["id"],
            })
        );
        let address = engine.address_of(text(&app, "/id")?, name).await?;
        let subnet: ipnet::Ipv4Net = subnet.parse()?;
        assert!(subnet.contains(&address), "{address} in {subnet}");
        Ok(())
    })
}

#[test]
fn without_a_health_check_and_with_no_replicas() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["replicas"] = 0.into();
        spec.as_object_mut().unwrap().remove("health_check");
        let app = acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        assert!(engine.tasks_of(text(&app, "/id")?).await?.is_empty());
        let release = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        assert!(release["stable_at"].is_null(), "a release that nobody saw running is not stable");
        assert_eq!(release["live"], true);
        // Now something runs, and it is.
        let scaled = acme.scale("web", 1).await?;
        acme.wait_for(&scaled, "succeeded", "live").await?;
        assert_eq!(engine.running_ids(text(&app, "/id")?).await?.len(), 1);
        let release = acme.client.get(&acme.path("apps/web/releases/1")).await?.expect(200)?;
        assert!(!release["stable_at"].is_null());
        Ok(())
    })
}
