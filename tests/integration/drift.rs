//! Drift that audits report: what is not found any more is over where they looked, and by and by elsewhere.

use db::Database;
use db::drift::{Found, Look, LookedAt, drift_looked};
use model::drift::{DriftKind, ObjectType};
use model::id::AppId;
use tests::Outcome;
use tests::run::run_on_database;
use tests::sql;

fn look(found: &[&str], standing: &[&str], looked_at: LookedAt) -> Look {
    // Of an app that is gone by now.
    let found_one = || Found { app: Some(AppId::new()), sentence: "it goes on there".to_owned() };
    Look {
        kind: DriftKind::Duplicate,
        object_type: ObjectType::Container,
        found: found.iter().map(|object| ((*object).to_owned(), found_one())).collect(),
        standing: standing.iter().map(|object| (*object).to_owned()).collect(),
        looked_at,
    }
}

async fn open(owner: &Database) -> anyhow::Result<Vec<String>> {
    let rows = "SELECT object FROM drift WHERE resolved_at IS NULL ORDER BY object";
    let rows = sql::rows(owner, rows).await?;
    Ok(rows.iter().filter_map(|row| Some(row["object"].as_str()?.to_owned())).collect())
}

#[test]
fn what_was_found_on_a_node_that_is_not_asked_stays_for_an_hour() -> Outcome {
    run_on_database(async |database| {
        let (worker, owner) = (database.worker(), database.owner());
        let nodes = |ids: &[&str]| LookedAt::Nodes(ids.iter().map(|id| (*id).to_owned()).collect());
        let all = ["n1/web.1", "n1/web.2", "n1/web.3", "n2/web.1"];
        let new = drift_looked(worker, &look(&all, &[], nodes(&["n1", "n2"]))).await?;
        assert_eq!(new.len(), 4, "{new:?}");
        // Another worker, which reaches one of the nodes only; of what it sees, one thing is not sure yet.
        let seen = look(&["n1/web.2"], &["n1/web.3", "n1/web.4"], nodes(&["n1"]));
        assert_eq!(drift_looked(worker, &seen).await?, [""; 0], "nothing is new");
        assert_eq!(open(owner).await?, ["n1/web.2", "n1/web.3", "n2/web.1"]);
        // Nobody has reached the second node for an hour: it may be gone for good.
        let old =
            "UPDATE drift SET seen_at = now() - interval '61 minutes' WHERE object LIKE 'n2%'";
        sql::execute(owner, old).await?;
        drift_looked(worker, &seen).await?;
        assert_eq!(open(owner).await?, ["n1/web.2", "n1/web.3"]);
        drift_looked(worker, &look(&[], &[], LookedAt::Everything)).await?;
        assert_eq!(open(owner).await?, [""; 0]);
        // What comes back is new.
        let again = look(&["n1/web.1"], &[], LookedAt::Everything);
        assert_eq!(drift_looked(worker, &again).await?, ["n1/web.1"]);
        Ok(())
    })
}
