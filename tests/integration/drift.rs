//! Drift that audits report: what is not found any more is resolved, but for what was found where nobody looked now.

use db::drift::{Finding, drift_found, drift_left};
use model::drift::{DriftKind, ObjectType};
use tests::Outcome;
use tests::run::run_on_database;
use tests::sql;

#[test]
fn what_was_found_on_a_node_that_is_not_asked_stays() -> Outcome {
    run_on_database(async |database| {
        let (kind, object_type) = (DriftKind::Duplicate, ObjectType::Container);
        for object in ["node1/web.1", "node1/web.2", "node2/web.1"] {
            let finding = Finding {
                kind,
                object_type,
                object,
                app: None,
                sentence: "it goes on there",
                deployment: None,
                resolved: false,
            };
            assert!(drift_found(database.worker(), &finding).await?, "{object} is new");
        }
        let left = ["node1/web.2".to_owned()];
        drift_left(database.worker(), kind, object_type, &left, &["node2".to_owned()]).await?;
        let open = "SELECT object FROM drift WHERE resolved_at IS NULL ORDER BY object";
        let open = sql::rows(database.owner(), open).await?;
        let open: Vec<_> = open.iter().filter_map(|row| row["object"].as_str()).collect();
        assert_eq!(open, ["node1/web.2", "node2/web.1"]);
        drift_left(database.worker(), kind, object_type, &[], &[]).await?;
        assert_eq!(sql::count(database.owner(), "drift WHERE resolved_at IS NULL").await?, 0);
        Ok(())
    })
}
