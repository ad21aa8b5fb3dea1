//! Quotas: what an organization may use is reserved before anything is written, refused with the numbers, and given back.

mod racing;

use anyhow::{Context as _, ensure};
use model::quota::Quota;
use model::token::{TokenKind, TokenScope};
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::client::Client;
use tests::holders::{Holder, holder};
use tests::people::invite;
use tests::{Outcome, Skep, Tenant, pretend, run, sql};

use crate::web;

/// Limits of the tenant, in the place of its plan's.
async fn limit(skep: &Skep, tenant: &Tenant, overrides: Value) -> Outcome {
    let body = json!({ "plan": "default", "overrides": overrides });
    skep.operator.put(&format!("{}/quotas", tenant.home()), &body).await?.expect(200)?;
    Ok(())
}

/// What the tenant uses.
async fn used(tenant: &Tenant, quota: Quota) -> anyhow::Result<i64> {
    let view = tenant.client.get(&format!("{}/quotas", tenant.home())).await?.expect(200)?;
    let named = |one: &&Value| one["name"] == quota.as_str();
    let found = list(&view, "/quotas")?.iter().find(named).context("no such quota")?;
    found["used"].as_i64().context("no use")
}

/// An app of so many replicas, each of half a core, 512 MB and 1 GB.
fn replicas(count: i32) -> Value {
    let mut spec = web();
    spec["replicas"] = count.into();
    spec["cpu"] = json!(0.5);
    spec["memory"] = json!(512);
    spec["disk"] = json!(1);
    spec
}

#[test]
fn plans_are_made_set_and_removed() -> Outcome {
    run(async |skep| {
        let operator = &skep.operator;
        let acme = skep.tenant("acme").await?;
        let plans = "/v1/admin/plans";
        let small = json!({ "name": "small", "quotas": { "apps": 3, "cpu_millis": 4000 } });
        let made = operator.post(plans, &small).await?.expect(201)?;
        assert_eq!(
            (&made["quotas"]["apps"], &made["quotas"]["memory_mb"]),
            (&json!(3), &Value::Null)
        );
        operator.post(plans, &small).await?.problem(409, "already_exists")?;
        let listed = operator.get(plans).await?.expect(200)?;
        let names: Vec<&str> =
            list(&listed, "/items")?.iter().filter_map(|plan| plan["name"].as_str()).collect();
        assert_eq!(names, ["default", "operators", "small"]);

        let quotas = format!("{}/quotas", acme.home());
        let body = json!({ "plan": "small", "overrides": { "apps": 5 } });
        acme.client.put(&quotas, &body).await?.problem(403, "forbidden")?;
        let set = operator.put(&quotas, &body).await?.expect(200)?;
        assert_eq!((&set["plan"], &set["overrides"]["apps"]), (&json!("small"), &json!(5)));
        let view = acme.client.get(&quotas).await?.expect(200)?;
        let of = |name: &str| {
            list(&view, "/quotas").ok()?.iter().find(|one| one["name"] == name).cloned()
        };
        assert_eq!(of("apps"), Some(json!({ "name": "apps", "limit": 5, "used": 0 })));
        assert_eq!(
            of("cpu_millis"),
            Some(json!({ "name": "cpu_millis", "limit": 4000, "used": 0 }))
        );
        assert_eq!(
            of("environments"),
            Some(json!({ "name": "environments", "limit": null, "used": 1 }))
        );

        let path = "/v1/admin/plans/small";
        operator.delete(path).await?.problem(409, "in_use")?;
        operator.put(path, &json!({ "quotas": { "cpu_millis": 8000 } })).await?.expect(200)?;
        let view = acme.client.get(&quotas).await?.expect(200)?;
        assert_eq!(view["quotas"][0], json!({ "name": "cpu_millis", "limit": 8000, "used": 0 }));
        limit(skep, &acme, json!({})).await?;
        operator.delete(path).await?.expect(204)?;
        operator.get(path).await?.problem(404, "not_found")?;
        operator.put(path, &json!({ "quotas": {} })).await?.problem(404, "not_found")?;
        operator.delete("/v1/admin/plans/default").await?.problem(409, "not_removable")?;
        let audited = "audit_log WHERE action IN ('plan.create', 'plan.set', 'plan.delete', 'quota.set') AND result = 'done'";
        assert_eq!(sql::count(skep.database.owner(), audited).await?, 5);
        Ok(())
    })
}

#[test]
fn quotas_that_cannot_be_are_refused_and_nothing_is_written() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let quotas = format!("{}/quotas", acme.home());
        for (body, field) in [
            (json!({ "plan": "default", "overrides": { "apps": -1 } }), "overrides.apps"),
            (json!({ "plan": "default", "overrides": { "apps": 1.5 } }), "overrides.apps"),
            (
                json!({ "plan": "default", "overrides": { "apps": 1_000_000_000_001_u64 } }),
                "overrides.apps",
            ),
            (json!({ "plan": "default", "overrides": { "pets": 1 } }), "overrides.pets"),
            (json!({ "plan": "golden" }), "plan"),
            (json!({ "plan": "No Plan" }), "plan"),
            (json!({ "overrides": {} }), "plan"),
        ] {
            let problem = skep.operator.put(&quotas, &body).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field, "{body}");
        }
        for (body, field) in [
            (json!({ "name": "small", "quotas": { "replicas": -1 } }), "quotas.replicas"),
            (json!({ "name": "-", "quotas": {} }), "name"),
            (json!({ "name": "small" }), "quotas"),
        ] {
            let problem =
                skep.operator.post("/v1/admin/plans", &body).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field, "{body}");
        }
        let written = "audit_log WHERE action IN ('plan.create', 'quota.set') AND result = 'done'";
        assert_eq!(sql::count(skep.database.owner(), written).await?, 0);
        Ok(())
    })
}

#[test]
fn what_would_be_too_much_is_refused_with_the_numbers() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", replicas(3)).await?;
        limit(skep, &acme, json!({ "replicas": 5 })).await?;
        acme.deploy("web", json!({})).await?;
        // Three, and one beside them in an update.
        assert_eq!(used(&acme, Quota::Replicas).await?, 4);
        assert_eq!(used(&acme, Quota::CpuMillis).await?, 2000);
        assert_eq!(used(&acme, Quota::MemoryMb).await?, 2048);
        assert_eq!(used(&acme, Quota::DiskGb).await?, 4);
        pretend::succeed(skep.database.worker()).await?;

        let path = acme.path("apps/web/scale");
        let refused = acme.client.post(&path, &json!({ "replicas": 9 })).await?;
        let refused = refused.problem(409, "quota_exceeded")?;
        let numbers = json!({ "name": "replicas", "limit": 5, "used": 4, "asked": 6 });
        assert_eq!(refused["quota"], numbers);
        let detail = text(&refused, "/detail")?;
        ensure!(
            detail.contains("quota replicas is 5: it uses 4, and 6 more were asked for"),
            "{detail}"
        );
        assert_eq!(acme.app("web").await?["replicas"], 3, "nothing was written");
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, 1);
        acme.scale("web", 4).await?;
        pretend::succeed(skep.database.worker()).await?;

        // Lowered below what is used: what runs is deployed again, scaled down and back to what it was, and nothing more.
        limit(skep, &acme, json!({ "replicas": 2, "cpu_millis": 0, "deployments_per_day": 5 }))
            .await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        acme.client.post(&path, &json!({ "replicas": 5 })).await?.problem(409, "quota_exceeded")?;
        acme.scale("web", 3).await?;
        pretend::succeed(skep.database.worker()).await?;
        assert_eq!(used(&acme, Quota::Replicas).await?, 4);
        acme.client.post(&path, &json!({ "replicas": 4 })).await?.problem(409, "quota_exceeded")?;

        // To stop and to remove is never too much.
        acme.deploy("web", json!({})).await?;
        let refused = acme.ask_deploy("web", json!({})).await?.problem(409, "quota_exceeded")?;
        let numbers = json!({ "name": "deployments_per_day", "limit": 5, "used": 5, "asked": 1 });
        assert_eq!(refused["quota"], numbers);
        acme.to("stop", "web").await?;
        pretend::succeed(skep.database.worker()).await?;
        assert_eq!(used(&acme, Quota::Replicas).await?, 0);
        acme.remove("web").await?;
        pretend::succeed(skep.database.worker()).await?;
        assert_eq!((used(&acme, Quota::Apps).await?, used(&acme, Quota::CpuMillis).await?), (0, 0));

        // The next day begins at nothing.
        let yesterday = "UPDATE organization_quotas SET deployments_on = deployments_on - 1";
        sql::execute(skep.database.owner(), yesterday).await?;
        assert_eq!(used(&acme, Quota::DeploymentsPerDay).await?, 0);
        limit(skep, &acme, json!({ "deployments_per_day": 1 })).await?;
        acme.create_app("next", replicas(1)).await?;
        acme.deploy("next", json!({})).await?;
        acme.ask_deploy("next", json!({})).await?.problem(409, "quota_exceeded")?;
        Ok(())
    })
}

#[test]
fn what_ends_is_given_back() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let (home, operator) = (acme.home(), &skep.operator);
        let tokens = used(&acme, Quota::Tokens).await?;
        let overrides = json!({ "environments": 2, "secrets": 1, "tokens": tokens + 1, "members": 1, "apps": 1 });
        limit(skep, &acme, overrides).await?;
        for (path, first, second) in [
            (format!("{home}/environments"), json!({ "slug": "one" }), json!({ "slug": "two" })),
            (
                acme.path("secrets"),
                json!({ "name": "one", "value": "planted-one" }),
                json!({ "name": "two", "value": "planted-two" }),
            ),
            (
                acme.path("apps"),
                json!({ "slug": "one", "image": "a:1" }),
                json!({ "slug": "two", "image": "a:1" }),
            ),
        ] {
            acme.client.post(&path, &first).await?.expect(201)?;
            acme.client.post(&path, &second).await?.problem(409, "quota_exceeded")?;
            let removal = format!("{path}/one");
            let removed = acme.client.delete(&removal).await?;
            if removed.status == 202 {
                pretend::succeed(skep.database.worker()).await?;
            } else {
                removed.expect(204)?;
            }
            acme.client.post(&path, &second).await?.expect(201)?;
        }

        let path = format!("{home}/tokens");
        let token = |name: &str| json!({ "name": name, "scopes": ["read"] });
        let made = acme.client.post(&path, &token("one")).await?.expect(201)?;
        acme.client.post(&path, &token("two")).await?.problem(409, "quota_exceeded")?;
        acme.client.delete(&format!("{path}/{}", text(&made, "/id")?)).await?.expect(204)?;
        acme.client.post(&path, &token("two")).await?.expect(201)?;
        acme.client.post(&path, &token("three")).await?.problem(409, "quota_exceeded")?;
        // One that has ended by itself is none any more.
        let ended = "UPDATE tokens SET expires_at = now() - interval '1 s' WHERE name = 'two'";
        sql::execute(skep.database.owner(), ended).await?;
        assert_eq!(used(&acme, Quota::Tokens).await?, tokens);
        acme.client.post(&path, &token("three")).await?.expect(201)?;

        let people = invited(skep, &acme, 2).await?;
        let (first, second) = (&people[0], &people[1]);
        accept(first).await?.expect(201)?;
        accept(second).await?.problem(409, "quota_exceeded")?;
        let members = operator.get(&format!("{home}/members")).await?.expect(200)?;
        let member = text(&members, "/items/0/id")?;
        limit(skep, &acme, json!({ "members": 2 })).await?;
        accept(second).await?.expect(201)?;
        assert_eq!(used(&acme, Quota::Members).await?, 2);
        operator.delete(&format!("{home}/members/{member}")).await?.expect(204)?;
        assert_eq!(used(&acme, Quota::Members).await?, 1);
        Ok(())
    })
}

/// Somebody with a session, and the secret of an invitation for them.
struct Invited {
    client: Client,
    secret: String,
}

/// So many people who are invited into the organization, and have not accepted yet.
async fn invited(skep: &Skep, tenant: &Tenant, count: usize) -> anyhow::Result<Vec<Invited>> {
    let home = tenant.home();
    let organization = home.rsplit('/').next().context("a home names its organization")?;
    let mut people = Vec::new();
    for _ in 0..count {
        let owner = skep.database.owner();
        let session = holder(owner, Holder::Nobody, TokenKind::Session, TokenScope::ALL).await?;
        let client = skep.operator.with_token(Some(&session));
        let account = client.get("/v1/me").await?.expect(200)?;
        let email = text(&account, "/email")?;
        let secret = invite(&skep.operator, organization, email, "owner").await?;
        people.push(Invited { client, secret });
    }
    Ok(people)
}

async fn accept(person: &Invited) -> anyhow::Result<tests::answer::Answer> {
    person.client.post("/v1/invitations/accept", &json!({ "secret": person.secret })).await
}

/// That each organization uses what is there.
async fn sums_hold(skep: &Skep) -> Outcome {
    let wrong = "organization_quotas q WHERE
        (used_cpu_millis, used_memory_mb, used_disk_gb, used_replicas, used_apps) <> (
            SELECT coalesce(sum(reserved_cpu_millis), 0), coalesce(sum(reserved_memory_mb), 0),
                coalesce(sum(reserved_disk_gb), 0), coalesce(sum(reserved_tasks), 0), count(*)
            FROM apps a WHERE a.organization_id = q.organization_id AND a.removed_at IS NULL)
        OR used_environments <> (SELECT count(*) FROM environments e
            WHERE e.organization_id = q.organization_id AND e.removed_at IS NULL)
        OR used_secrets <> (SELECT count(*) FROM secrets s
            WHERE s.organization_id = q.organization_id AND s.removed_at IS NULL)
        OR used_members <> (SELECT count(*) FROM members m WHERE m.organization_id = q.organization_id)";
    ensure!(sql::count(skep.database.owner(), wrong).await? == 0);
    Ok(())
}

#[test]
fn what_an_older_api_accepts_is_kept_too() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", replicas(3)).await?;
        acme.deploy("web", json!({})).await?;
        let counted = "UPDATE deployments SET (tasks, cpu_millis, memory_mb, disk_gb) = (
            SELECT tasks, cpu_millis, memory_mb, disk_gb FROM resources_needed(release_id, replicas))";
        let said = "SELECT tasks, cpu_millis, memory_mb, disk_gb FROM deployments";
        let by_rust = sql::row(skep.database.owner(), said).await?;
        sql::execute(skep.database.owner(), counted).await?;
        assert_eq!(sql::row(skep.database.owner(), said).await?, by_rust, "as Rust counts it");
        pretend::succeed(skep.database.worker()).await?;
        let as_before = "INSERT INTO deployments (id, organization_id, app_id, release_id, kind, status, replicas,
                restart_counter, force, spec_version, requested_by)
            SELECT gen_random_uuid(), organization_id, app_id, release_id, 'scale', 'queued', 9, 0, false,
                spec_version, requested_by FROM deployments";
        limit(skep, &acme, json!({ "replicas": 9 })).await?;
        let refused = sql::execute(skep.database.owner(), as_before).await;
        ensure!(refused.is_err_and(|error| format!("{error:#}").contains("quota exceeded")));
        limit(skep, &acme, json!({ "replicas": 10 })).await?;
        sql::execute(skep.database.owner(), as_before).await?;
        assert_eq!(used(&acme, Quota::Replicas).await?, 10);
        pretend::succeed(skep.database.worker()).await?;
        assert_eq!(used(&acme, Quota::Replicas).await?, 10);
        sums_hold(skep).await
    })
}

#[test]
fn a_token_is_rotated_though_its_quota_is_used_up() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let before = used(&acme, Quota::Tokens).await?;
        limit(skep, &acme, json!({ "tokens": before + 1 })).await?;
        let tokens = format!("{}/tokens", acme.home());
        let made = skep.operator.post(&tokens, &json!({ "name": "CI" })).await?.expect(201)?;
        skep.operator
            .post(&tokens, &json!({ "name": "more" }))
            .await?
            .problem(409, "quota_exceeded")?;
        let rotate = format!("{tokens}/{}/rotate", text(&made, "/id")?);
        let other = skep.operator.post(&rotate, &json!({})).await?.expect(201)?;
        assert_eq!(used(&acme, Quota::Tokens).await?, before + 1);
        // The one that was rotated gives nothing back when it ends; the other one does.
        for (token, left) in [(&made, before + 1), (&other, before)] {
            let path = format!("{tokens}/{}", text(token, "/id")?);
            skep.operator.delete(&path).await?.expect(204)?;
            assert_eq!(used(&acme, Quota::Tokens).await?, left);
        }
        skep.operator.post(&tokens, &json!({ "name": "more" })).await?.expect(201)?;
        Ok(())
    })
}

/// In a rolling upgrade: an older worker changes what is live, and says nothing of what it takes.
#[test]
fn a_verdict_of_an_older_worker_counts() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", replicas(2)).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let live = "SELECT live_tasks, live_cpu_millis, live_memory_mb, live_disk_gb FROM apps";
        let before = sql::row(skep.database.owner(), live).await?;
        sql::execute(
            skep.database.owner(),
            "UPDATE apps SET live_tasks = 0, live_cpu_millis = 0, live_memory_mb = 0, live_disk_gb = 0, live_replicas = 1",
        )
        .await?;
        sql::execute(skep.database.owner(), "UPDATE apps SET live_replicas = 2").await?;
        assert_eq!(sql::row(skep.database.owner(), live).await?, before);
        Ok(())
    })
}
