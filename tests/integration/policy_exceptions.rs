//! What an operator lets one organization have beyond the policy.

use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Ask;
use tests::{Answer, Outcome, Tenant, pretend, run, sql, wait_for, wait_until};

use crate::web;

/// Sets all exceptions of a tenant.
async fn except(
    tenant: &Tenant,
    operator: &tests::Client,
    names: &[&str],
) -> anyhow::Result<Value> {
    let path = format!("{}/policy-exceptions", tenant.home());
    operator.put(&path, &json!({ "exceptions": names })).await?.expect(200)
}

/// A spec that takes both exceptions.
fn large() -> Value {
    let mut spec = web();
    spec["cpu"] = 32.into();
    spec["memory"] = 65_536.into();
    spec["placement"] = json!({ "constraints": ["node.hostname==big-1"] });
    spec
}

async fn create(tenant: &Tenant, slug: &str) -> anyhow::Result<Answer> {
    let mut body = large();
    body["slug"] = slug.into();
    tenant.client.post(&tenant.path("apps"), &body).await
}

/// What somebody may do is believed for a second at most.
const BELIEVED: Duration = Duration::from_secs(2);

/// Waits until a spec that takes both exceptions is refused for these fields.
async fn refused_for(tenant: &Tenant, expected: &[&str]) -> Outcome {
    wait_until("what was changed to be known", BELIEVED, async || {
        let answer = create(tenant, "refused").await?;
        Ok(answer.status == 400 && fields(&answer.problem(400, "invalid")?) == expected)
    })
    .await
}

/// Waits until it is taken.
async fn taken(tenant: &Tenant) -> anyhow::Result<Value> {
    wait_for("what was changed to be known", BELIEVED, async || {
        let answer = create(tenant, "web").await?;
        Ok(if answer.status == 201 { Some(answer.expect(201)?) } else { None })
    })
    .await
}

/// The fields that a refusal names.
fn fields(problem: &Value) -> Vec<&str> {
    let violations = problem["violations"].as_array().into_iter().flatten();
    violations.filter_map(|violation| violation["field"].as_str()).collect()
}

#[test]
fn hold_for_one_organization_by_name_and_are_audited() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let refused = create(&acme, "web").await?.problem(400, "invalid")?;
        assert_eq!(fields(&refused), ["cpu", "memory", "placement.constraints"]);
        except(&acme, &skep.operator, &["large_replicas"]).await?;
        refused_for(&acme, &["placement.constraints"]).await?;
        let told = except(&acme, &skep.operator, &["named_nodes", "large_replicas", "named_nodes"])
            .await?;
        assert_eq!(told["policy_exceptions"], json!(["large_replicas", "named_nodes"]));
        let app = taken(&acme).await?;
        assert_eq!((&app["spec"]["cpu"], &app["spec"]["memory"]), (&json!(32.0), &json!(65_536)));
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let refused = create(&globex, "web").await?.problem(400, "invalid")?;
        assert_eq!(fields(&refused).len(), 3, "it is acme's alone");
        let shown = acme.client.get(&acme.home()).await?.expect(200)?;
        assert_eq!(shown["policy_exceptions"], told["policy_exceptions"]);
        let rows = sql::rows(
            skep.database.owner(),
            "SELECT before, after FROM audit_log WHERE action = 'organization.except' ORDER BY id",
        )
        .await?;
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1]["before"], json!({ "policy_exceptions": ["large_replicas"] }));
        assert_eq!(
            rows[1]["after"],
            json!({ "policy_exceptions": ["large_replicas", "named_nodes"] })
        );
        Ok(())
    })
}

#[test]
fn what_was_taken_back_is_deployed_and_rolled_back_to_no_more() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        except(&acme, &skep.operator, &["large_replicas", "named_nodes"]).await?;
        taken(&acme).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let small = json!({ "cpu": 1, "memory": 512, "placement": { "constraints": [] } });
        acme.patch_app("web", small.clone()).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        acme.patch_app("web", json!({ "cpu": 32 })).await?;
        except(&acme, &skep.operator, &[]).await?;
        refused_for(&acme, &["cpu", "memory", "placement.constraints"]).await?;
        let before = sql::count(skep.database.owner(), "deployments").await?;
        let refused = acme.ask_deploy("web", json!({})).await?.problem(400, "invalid")?;
        assert_eq!(fields(&refused), ["cpu"]);
        let back =
            acme.client.post(&acme.path("apps/web/rollback"), &json!({ "release": 1 })).await?;
        let refused = back.problem(400, "invalid")?;
        assert_eq!(fields(&refused), ["cpu", "memory", "placement.constraints"]);
        assert_eq!(sql::count(skep.database.owner(), "deployments").await?, before);
        acme.patch_app("web", small).await?;
        acme.deploy("web", json!({})).await?;
        Ok(())
    })
}

#[test]
fn have_names_and_no_others() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let path = format!("{}/policy-exceptions", acme.home());
        for bad in [
            json!({ "exceptions": ["privileged"] }),
            json!({ "exceptions": "large_replicas" }),
            json!({ "exceptions": [null] }),
            json!({}),
        ] {
            let answer = skep.operator.put(&path, &bad).await?;
            answer.problem(400, "invalid")?;
        }
        let body = Some(json!({ "exceptions": ["named_nodes"] }).to_string().into_bytes());
        let by_tenant =
            acme.client.ask(reqwest::Method::PUT, &path, Ask { body, headers: &[] }).await?;
        by_tenant.problem(403, "forbidden")?;
        let shown = acme.client.get(&acme.home()).await?.expect(200)?;
        assert_eq!(shown["policy_exceptions"], json!([]));
        Ok(())
    })
}
