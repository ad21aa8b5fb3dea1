//! The audit log's chains: whatever is done to a row behind our back is found.

use std::process::Output;

use anyhow::Context as _;
use db::audit::chain::audit_chain_extend;
use serde_json::{Value, json};
use tests::process::program;
use tests::{Outcome, Skep, run, sql};
use tokio::process::Command;

use crate::web;

/// Gives every row its place.
async fn chain(skep: &Skep) -> Outcome {
    while audit_chain_extend(skep.database.worker(), 3).await? > 0 {}
    Ok(())
}

/// What `worker audit verify` says, as the role of workers: whether it succeeds, and each chain.
async fn verify(skep: &Skep) -> anyhow::Result<(bool, Vec<Value>)> {
    let Output { status, stdout, .. } = Command::new(program("worker")?)
        .args(["audit", "verify", "--json"])
        .env("DATABASE_URL", skep.database.worker_url()?)
        .output()
        .await?;
    let lines = String::from_utf8(stdout)?;
    let chains = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((status.success(), chains))
}

async fn of(skep: &Skep, name: &str) -> anyhow::Result<Value> {
    let (_, chains) = verify(skep).await?;
    chains.into_iter().find(|chain| chain["chain"] == name).context("no such chain")
}

/// Two organizations with some history each.
async fn history(skep: &Skep) -> Outcome {
    for name in ["acme", "globex"] {
        let tenant = skep.tenant(name).await?;
        tenant.create_app("web", web()).await?;
        for memory in [512, 1024, 2048] {
            tenant.patch_app("web", json!({ "memory": memory })).await?;
        }
    }
    Ok(())
}

/// A change that only who owns the tables can make, with the triggers off.
async fn tamper(skep: &Skep, change: &str) -> Outcome {
    for statement in [
        "ALTER TABLE audit_log DISABLE TRIGGER USER",
        "ALTER TABLE audit_chain DISABLE TRIGGER USER",
        change,
        "ALTER TABLE audit_log ENABLE TRIGGER USER",
        "ALTER TABLE audit_chain ENABLE TRIGGER USER",
    ] {
        sql::execute(skep.database.owner(), statement).await?;
    }
    Ok(())
}

const ACME: &str = "(SELECT id FROM organizations WHERE slug = 'acme')";

#[test]
fn is_whole_as_it_was_written() -> Outcome {
    run(async |skep| {
        history(skep).await?;
        chain(skep).await?;
        let (whole, chains) = verify(skep).await?;
        assert!(whole, "{chains:?}");
        let rows = sql::count(skep.database.owner(), "audit_log").await?;
        let links: i64 = chains.iter().filter_map(|chain| chain["links"].as_i64()).sum();
        assert_eq!(links, rows);
        assert_eq!(sql::count(skep.database.owner(), "audit_unchained").await?, 0);
        // What is written later makes chains longer, and changes nothing of what they were.
        let before = of(skep, "acme").await?;
        skep.tenant("initech").await?;
        chain(skep).await?;
        assert_eq!(of(skep, "acme").await?, before);
        Ok(())
    })
}

#[test]
fn of_many_who_make_it_longer_at_once_each_row_gets_one_place() -> Outcome {
    run(async |skep| {
        history(skep).await?;
        let extend = async || {
            for _ in 0..20 {
                audit_chain_extend(skep.database.worker(), 1).await?;
            }
            anyhow::Ok(())
        };
        futures::future::try_join_all((0..8).map(|_| extend())).await?;
        chain(skep).await?;
        assert!(verify(skep).await?.0);
        Ok(())
    })
}

#[test]
fn a_row_that_was_changed_taken_out_or_slipped_in_is_found() -> Outcome {
    for (change, number, what) in [
        ("UPDATE audit_log SET after = '{}' WHERE id = X", 3, "its row, or one before it, was changed"),
        ("UPDATE audit_log SET created_at = created_at - interval '1 day' WHERE id = X", 3, "its row, or one before it, was changed"),
        ("UPDATE audit_log SET organization_id = NULL WHERE id = X", 3, "its row is another organization's"),
        ("DELETE FROM audit_chain WHERE audit_id = X", 3, "it is missing"),
        (
            "WITH gone AS (DELETE FROM audit_chain WHERE audit_id = X) DELETE FROM audit_log WHERE id = X",
            3,
            "it is missing",
        ),
        (
            "INSERT INTO audit_log (id, organization_id, action, object, request_id)
             SELECT gen_random_uuid(), organization_id, 'app.remove', object, 'req_x' FROM audit_log WHERE id = X",
            7,
            "a row was written past the log",
        ),
    ] {
        run(async |skep| {
            history(skep).await?;
            chain(skep).await?;
            let x = format!("(SELECT audit_id FROM audit_chain WHERE organization_id = {ACME} AND number = 3)");
            tamper(skep, &change.replace('X', &x)).await?;
            let (whole, chains) = verify(skep).await?;
            assert!(!whole, "{change}");
            let acme = chains.iter().find(|chain| chain["chain"] == "acme").context("no acme")?;
            assert_eq!((&acme["broken_at"], &acme["broken"]), (&number.into(), &what.into()), "{change}");
            let globex = chains.iter().find(|chain| chain["chain"] == "globex");
            assert_eq!(globex.context("no globex")?["broken"], Value::Null, "{change}");
            Ok(())
        })?;
    }
    Ok(())
}
