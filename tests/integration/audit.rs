//! The audit log: every mutation, and nothing secret in it.

use db::audit::chain::audit_chain_extend;
use serde_json::{Value, json};
use tests::answer::text;
use tests::{Outcome, pretend, run, sql};

use crate::web;

#[test]
fn tells_who_did_what_from_where() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let mut spec = web();
        spec["env"] = json!({ "PASSWORD": "hunter2" });
        acme.create_app("web", spec).await?;
        acme.patch_app("web", json!({ "env": { "PASSWORD": "hunter3" }, "memory": 1024 })).await?;
        acme.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        acme.scale("web", 2).await?;
        pretend::succeed(skep.database.worker()).await?;
        acme.rollback("web", json!({ "release": 1, "force": true })).await?;
        acme.remove("web").await?;
        let rows = sql::rows(skep.database.owner(), "SELECT * FROM audit_log ORDER BY id").await?;
        let actions: Vec<&Value> = rows.iter().map(|row| &row["action"]).collect();
        assert_eq!(
            actions,
            [
                "organization.create",
                "token.create",
                "app.create",
                "app.update",
                "app.deploy",
                "app.scale",
                "app.rollback",
                "app.remove",
            ]
        );
        for row in &rows {
            assert!(text(row, "/request_id")?.starts_with("req_"), "{row}");
            assert_eq!(text(row, "/address")?, "127.0.0.1");
            assert!(row["token_id"].is_string() && row["organization_id"].is_string(), "{row}");
        }
        assert_eq!(rows[3]["before"]["spec"]["memory_mb"], 512);
        assert_eq!(rows[3]["after"]["spec"]["memory_mb"], 1024);
        let all = Value::from(rows).to_string();
        assert!(!all.contains("hunter"), "values of the environment may be passwords");
        assert!(!all.contains(acme.token.as_str()));
        Ok(())
    })
}

#[test]
fn is_append_only_for_everybody() -> Outcome {
    run(async |skep| {
        skep.tenant("acme").await?;
        audit_chain_extend(skep.database.worker(), 10).await?;
        for change in [
            "UPDATE audit_log SET action = 'x'",
            "DELETE FROM audit_log",
            "TRUNCATE audit_log CASCADE",
            "UPDATE audit_chain SET number = number + 1",
            "DELETE FROM audit_chain",
            "TRUNCATE audit_chain",
        ] {
            let error = sql::execute(skep.database.owner(), change).await.unwrap_err();
            assert!(format!("{error:#}").contains("append-only"), "{change}: {error:#}");
        }
        assert_eq!(sql::count(skep.database.owner(), "audit_log").await?, 2);
        Ok(())
    })
}
