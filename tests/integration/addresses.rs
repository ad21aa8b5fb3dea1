//! Addresses of a network: kept for apps before Docker is asked, and given back with the verdict.

use anyhow::ensure;
use futures::future::try_join_all;
use model::reason::ReasonCode;
use model::status::Status;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::{Outcome, Skep, Tenant, pretend, run, sql};

use crate::web;

/// The tenant, in an environment whose network has 60 addresses for tasks: 64, less 3 that nobody can have and 1 for the
/// swarm's node.
async fn small(skep: &Skep) -> anyhow::Result<Tenant> {
    let acme = skep.tenant("acme").await?;
    let body = json!({ "slug": "small", "network": { "prefix": 26 } });
    acme.client.post(&format!("{}/environments", acme.home()), &body).await?.expect(201)?;
    Ok(acme.within("small"))
}

fn replicas(count: i32) -> Value {
    let mut spec = web();
    spec["replicas"] = count.into();
    spec
}

async fn capacity(tenant: &Tenant) -> anyhow::Result<(i64, i64)> {
    let view = tenant.client.get(&tenant.path("network")).await?.expect(200)?;
    let number = |name: &str| view["capacity"][name].as_i64().unwrap_or(-1);
    let sum: i64 = list(&view, "/apps")?.iter().filter_map(|app| app["reserved"].as_i64()).sum();
    ensure!(sum == number("reserved"), "{view:#}");
    Ok((number("reserved"), number("free")))
}

/// That each network holds the sum of what its apps hold.
async fn sums_hold(skep: &Skep) -> Outcome {
    let wrong = "networks n WHERE retired_at IS NULL AND reserved_addresses <> (
        SELECT coalesce(sum(reserved_addresses), 0) FROM apps a WHERE a.environment_id = n.environment_id)";
    ensure!(sql::count(skep.database.owner(), wrong).await? == 0);
    Ok(())
}

#[test]
fn a_deployment_that_would_not_fit_is_refused_with_the_arithmetic() -> Outcome {
    run(async |skep| {
        let acme = small(skep).await?;
        assert_eq!(capacity(&acme).await?, (0, 60));
        for slug in ["one", "two", "three"] {
            acme.create_app(slug, replicas(20)).await?;
        }
        for slug in ["one", "two"] {
            acme.deploy(slug, json!({})).await?;
        }
        // 20 replicas, one beside them in an update; dnsrr: no virtual address.
        assert_eq!(capacity(&acme).await?, (42, 18));
        let refused = acme.ask_deploy("three", json!({})).await?.problem(409, "network_full")?;
        let detail = text(&refused, "/detail")?;
        let told = "has 64 addresses, less 3 that nobody can have, 1 for the swarm's nodes and 42 of other apps: 18 are left, and \
                    21 are needed (20 replicas, 1 beside them in an update)";
        ensure!(detail.contains(told), "{detail}");
        let releases = "releases r JOIN apps a ON a.id = r.app_id WHERE a.slug = 'three'";
        assert_eq!(sql::count(skep.database.owner(), releases).await?, 0, "nothing was written");
        acme.patch_app("three", json!({ "replicas": 17 })).await?;
        acme.deploy("three", json!({})).await?;
        assert_eq!(capacity(&acme).await?, (60, 0));
        let problem = acme.client.post(&acme.path("apps/one/deployments"), &json!({})).await?;
        // As large as before: nothing more is needed.
        problem.expect(202)?;
        sums_hold(skep).await
    })
}

#[test]
fn more_nodes_leave_fewer_addresses() -> Outcome {
    run(async |skep| {
        let acme = small(skep).await?;
        db::swarm_seen::swarm_seen_write(skep.database.worker(), 41).await?;
        assert_eq!(capacity(&acme).await?, (0, 20));
        acme.create_app("one", replicas(20)).await?;
        acme.ask_deploy("one", json!({})).await?.problem(409, "network_full")?;
        let platform = skep.operator.get("/v1/admin/platform").await?.expect(200)?;
        assert_eq!((&platform["nodes"], &platform["encryption"]), (&json!(41), &json!("on")));
        assert_eq!(platform["warnings"], json!([]));
        Ok(())
    })
}

#[test]
fn what_is_not_needed_is_given_back_with_the_verdict() -> Outcome {
    run(async |skep| {
        let acme = small(skep).await?;
        let worker = skep.database.worker();
        acme.create_app("web", replicas(10)).await?;
        acme.deploy("web", json!({})).await?;
        assert_eq!(capacity(&acme).await?.0, 11);
        pretend::succeed(worker).await?;
        assert_eq!(capacity(&acme).await?.0, 11);

        // Up, and it fails: as before.
        acme.scale("web", 30).await?;
        assert_eq!(capacity(&acme).await?.0, 31);
        let (claim, _) = pretend::update(worker).await?;
        let failed = pretend::transition(Status::Failed, Some(ReasonCode::Unhealthy));
        pretend::go(worker, claim, Status::Updating, failed).await?;
        assert_eq!(capacity(&acme).await?.0, 11);

        // Down: kept until the verdict says that they are gone.
        acme.scale("web", 2).await?;
        assert_eq!(capacity(&acme).await?.0, 11);
        pretend::succeed(worker).await?;
        assert_eq!(capacity(&acme).await?.0, 3);

        // Up, superseded while it waits, and canceled.
        let queued = acme.scale("web", 20).await?;
        acme.scale("web", 5).await?;
        assert_eq!(capacity(&acme).await?.0, 21);
        let last = acme.scale("web", 40).await?;
        assert_eq!(capacity(&acme).await?.0, 41);
        acme.ask_cancel(&queued).await?.problem(409, "not_cancelable")?;
        acme.ask_cancel(&last).await?.expect(202)?;
        assert_eq!(capacity(&acme).await?.0, 3);

        acme.to("stop", "web").await?;
        pretend::succeed(worker).await?;
        assert_eq!(capacity(&acme).await?.0, 0);
        acme.to("start", "web").await?;
        pretend::succeed(worker).await?;
        assert_eq!(capacity(&acme).await?.0, 3);
        acme.remove("web").await?;
        assert_eq!(capacity(&acme).await?.0, 3);
        pretend::succeed(worker).await?;
        assert_eq!(capacity(&acme).await?, (0, 60));
        sums_hold(skep).await
    })
}

#[test]
fn of_many_at_once_as_many_get_in_as_fit() -> Outcome {
    run(async |skep| {
        let acme = small(skep).await?;
        let slugs: Vec<String> = (0..16).map(|number| format!("app-{number}")).collect();
        for slug in &slugs {
            acme.create_app(slug, replicas(13)).await?;
        }
        let asked = slugs.iter().map(|slug| acme.ask_deploy(slug, json!({})));
        let answers = try_join_all(asked).await?;
        let (accepted, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status == 202);
        // 14 each.
        assert_eq!(accepted.len(), 4);
        for answer in refused {
            answer.problem(409, "network_full")?;
        }
        assert_eq!(capacity(&acme).await?, (56, 4));
        sums_hold(skep).await
    })
}

#[test]
fn what_is_kept_is_kept_on_another_network_too() -> Outcome {
    run(async |skep| {
        let acme = small(skep).await?;
        let worker = skep.database.worker();
        for number in 0..8 {
            acme.create_app(&format!("app-{number}"), replicas(2)).await?;
            acme.deploy(&format!("app-{number}"), json!({})).await?;
            pretend::succeed(worker).await?;
        }
        assert_eq!(capacity(&acme).await?, (24, 36));
        let path = acme.path("network");
        let small = json!({ "prefix": 26 });
        // Verdicts that give addresses back, while the network is replaced.
        for number in 0..8 {
            acme.scale(&format!("app-{number}"), 1).await?;
        }
        let verdicts = async {
            for _ in 0..8 {
                pretend::succeed(worker).await?;
            }
            anyhow::Ok(())
        };
        let replaced = async { acme.client.put(&path, &small).await?.expect(202) };
        tokio::try_join!(verdicts, replaced)?;
        assert_eq!(capacity(&acme).await?, (16, 44));
        sums_hold(skep).await
    })
}

#[test]
fn what_an_older_api_accepts_is_counted_at_its_end() -> Outcome {
    run(async |skep| {
        let acme = small(skep).await?;
        acme.create_app("web", replicas(5)).await?;
        acme.deploy("web", json!({})).await?;
        let forgotten = "UPDATE deployments SET addresses = addresses_needed(release_id, replicas)";
        sql::execute(skep.database.owner(), forgotten).await?;
        let said = sql::row(skep.database.owner(), "SELECT addresses FROM deployments").await?;
        assert_eq!(said["addresses"], 6, "as Rust counts it");
        let as_before = "INSERT INTO deployments (id, organization_id, app_id, release_id, kind, status, replicas,
                restart_counter, force, spec_version, requested_by, finished_at, reason_code, reason)
            SELECT gen_random_uuid(), organization_id, app_id, release_id, 'scale', 'canceled', 9, 0, false,
                spec_version, requested_by, now(), 'canceled', 'x' FROM deployments";
        sql::execute(skep.database.owner(), as_before).await?;
        let said = "SELECT addresses FROM deployments WHERE kind = 'scale'";
        assert_eq!(sql::row(skep.database.owner(), said).await?["addresses"], 10);
        Ok(())
    })
}
