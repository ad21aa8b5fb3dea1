//! What an audit found, written down, and logged where it is new.

use db::Database;
use db::drift::{Look, drift_looked};

/// Everything of one kind that an audit found.
pub(crate) async fn report(database: &Database, look: Look) -> model::Result<()> {
    let new = drift_looked(database, &look).await?;
    for (object, found) in look.found.iter().filter(|(object, _)| new.contains(object)) {
        let (kind, sentence) = (look.kind.as_str(), &found.sentence);
        tracing::warn!(object, kind, sentence, "drift");
    }
    Ok(())
}
