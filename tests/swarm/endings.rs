//! Organizations end, with all that was their own and nothing else.

use std::time::Duration;

use anyhow::Result;
use model::id::OrganizationId;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::{Outcome, Skep, Tenant, run, sql, wait_until};

use crate::specs::web;

const SOON: Duration = Duration::from_secs(60);

/// Rows of an organization in every table that holds some, but for the log and what it refers to, and for its subnets, which
/// rest for some minutes.
async fn rows_of(skep: &Skep, organization: &Value) -> Result<i64> {
    let id = text(organization, "/id")?;
    let uuid = format!("'{}'", id.parse::<OrganizationId>()?.as_uuid());
    let tables = "SELECT table_name AS name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name = 'organization_id'
          AND table_name NOT IN ('audit_log', 'audit_chain', 'tokens', 'resting_subnets')";
    let mut found = 0;
    for table in sql::rows(skep.database.owner(), tables).await? {
        let count = format!(
            "SELECT count(*) AS count FROM {} WHERE organization_id = {uuid}",
            text(&table, "/name")?
        );
        let row = sql::row(skep.database.owner(), &count).await?;
        found += row["count"].as_i64().unwrap_or_default();
    }
    Ok(found)
}

#[test]
fn one_that_ends_leaves_its_log_and_nothing_else() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let mut apps = Vec::new();
        for tenant in [&acme, &globex] {
            for slug in ["web", "other"] {
                apps.push(tenant.create_app(slug, web("v1")).await?);
                tenant.deploy_live(slug, json!({})).await?;
            }
        }
        // Not removed by anybody yet, and never deployed.
        acme.create_app("draft", web("v1")).await?;
        let path = format!("{}/deletion", acme.home());
        let ending = skep.operator.post(&path, &json!({ "grace_hours": 0 })).await?.expect(202)?;
        anyhow::ensure!(ending["delete_after"].is_string(), "{ending}");
        // Its tasks take longer to end than this takes to be asked.
        let restore = format!("{}/restore", acme.home());
        skep.operator.post(&restore, &json!({})).await?.problem(409, "being_removed")?;
        wait_until("the organization to be gone", SOON, async || {
            Ok(skep.operator.get(&acme.home()).await?.status == 404)
        })
        .await?;
        for app in &apps[..2] {
            assert_eq!(engine.service_of(text(app, "/id")?).await?, None);
        }
        for app in &apps[2..] {
            assert_eq!(engine.running_ids(text(app, "/id")?).await?.len(), 1, "globex runs on");
        }
        assert_eq!(rows_of(skep, &acme.organization).await?, 0);
        anyhow::ensure!(rows_of(skep, &globex.organization).await? > 0, "globex keeps its own");
        acme.client.get(&acme.home()).await?.problem(401, "unauthenticated")?;
        let log = format!("/v1/admin/audit?organization={}", text(&acme.organization, "/id")?);
        for action in ["app.create", "app.deploy", "organization.delete", "app.remove"] {
            let log = skep.operator.get(&format!("{log}&action={action}")).await?.expect(200)?;
            anyhow::ensure!(!list(&log, "/items")?.is_empty(), "{action} is in the log");
        }
        // The name is free, and its network is another one.
        let again = skep.tenant("acme").await?;
        again.create_app("web", web("v2")).await?;
        again.deploy_live("web", json!({})).await?;
        Ok(())
    })
}

#[test]
fn a_network_that_only_has_its_name_stays() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        globex.create_app("web", web("v1")).await?;
        globex.deploy_live("web", json!({})).await?;
        // A network that a task is on would stay for that.
        let removal = globex.remove("web").await?;
        globex.wait_for(&removal, "succeeded", "removed").await?;
        let owner = skep.database.owner();
        let of = async |tenant: &Tenant| {
            let id = text(&tenant.organization, "/id")?.parse::<OrganizationId>()?.as_uuid();
            let named = format!("SELECT id, name FROM networks WHERE organization_id = '{id}'");
            sql::row(owner, &named).await
        };
        let (own, foreign) = (of(&acme).await?, of(&globex).await?);
        let name = text(&foreign, "/name")?;
        for (row, name) in [(&foreign, "another"), (&own, name)] {
            let named =
                format!("UPDATE networks SET name = '{name}' WHERE id = '{}'", text(row, "/id")?);
            assert_eq!(sql::execute(owner, &named).await?, 1);
        }
        let path = format!("{}/deletion", acme.home());
        skep.operator.post(&path, &json!({ "grace_hours": 0 })).await?.expect(202)?;
        wait_until("the organization to be gone", SOON, async || {
            Ok(skep.operator.get(&acme.home()).await?.status == 404)
        })
        .await?;
        anyhow::ensure!(engine.find(&format!("/networks/{name}")).await?.is_some(), "globex's");
        Ok(())
    })
}

#[test]
fn within_its_grace_it_is_read_runs_on_and_comes_back() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let acme = skep.tenant("acme").await?;
        let app = acme.create_app("web", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let before = engine.running_ids(text(&app, "/id")?).await?;
        let (path, restore) =
            (format!("{}/deletion", acme.home()), format!("{}/restore", acme.home()));
        let first = skep.operator.post(&path, &json!({})).await?.expect(202)?;
        let again = skep.operator.post(&path, &json!({ "grace_hours": 1 })).await?.expect(202)?;
        assert_eq!(again["delete_after"], first["delete_after"], "its time stays");
        wait_until("it to be read only", Duration::from_secs(2), async || {
            Ok(acme.ask_deploy("web", json!({})).await?.status == 403)
        })
        .await?;
        acme.app("web").await?;
        skep.operator.post(&restore, &json!({})).await?.expect(202)?;
        wait_until("it to be as before", Duration::from_secs(2), async || {
            Ok(acme.client.patch(&acme.path("apps/web"), &json!({ "replicas": 1 })).await?.status
                == 200)
        })
        .await?;
        assert_eq!(engine.running_ids(text(&app, "/id")?).await?, before, "it ran on");
        Ok(())
    })
}
