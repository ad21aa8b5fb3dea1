//! What an audit found, written down: what is new is logged, and what is not found any more is resolved.

use std::collections::BTreeMap;

use db::Database;
use db::drift::{Finding, drift_found, drift_left};
use model::drift::{DriftKind, ObjectType};
use model::error::ErrorCode;
use model::id::{AppId, OrganizationId};

/// One object that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its tenant and app, where they are known.
    pub(crate) app: Option<(OrganizationId, AppId)>,
    /// What was seen, and what to do about it.
    pub(crate) sentence: String,
}

/// What of earlier findings stays open though it is not found now.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Objects, by name.
    pub(crate) objects: Vec<String>,
    /// Nodes that were not asked.
    pub(crate) nodes: Vec<String>,
}

/// Everything of one kind that an audit found, by name. What Postgres refuses of one finding (its app may be gone) costs the others
/// nothing.
pub(crate) async fn report(
    database: &Database,
    (kind, object_type): (DriftKind, ObjectType),
    found: BTreeMap<String, Found>,
    standing: Standing,
) -> model::Result<()> {
    for (name, Found { app, sentence }) in &found {
        let finding = Finding {
            kind,
            object_type,
            object: name,
            app: *app,
            sentence,
            deployment: None,
            resolved: false,
        };
        let written = match drift_found(database, &finding).await {
            Err(error) if error.code != ErrorCode::Unavailable => {
                drift_found(database, &Finding { app: None, ..finding }).await
            }
            written => written,
        };
        if written? {
            tracing::warn!(object = name, kind = kind.as_str(), sentence, "drift");
        }
    }
    let mut left = standing.objects;
    left.extend(found.into_keys());
    drift_left(database, kind, object_type, &left, &standing.nodes).await
}
