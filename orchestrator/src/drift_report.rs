//! What an audit found, written down: what is new is logged, and what is not found any more is resolved.

use std::collections::BTreeMap;

use db::Database;
use db::drift::{Finding, drift_found, drift_left};
use model::drift::{DriftKind, ObjectType};
use model::id::{AppId, OrganizationId};

/// One object that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its tenant and app, where they are known.
    pub(crate) app: Option<(OrganizationId, AppId)>,
    /// What was seen, and what to do about it.
    pub(crate) sentence: String,
}

/// Everything of one kind that an audit found, by name; what stands of nodes that were not asked stays.
pub(crate) async fn report(
    database: &Database,
    (kind, object_type): (DriftKind, ObjectType),
    found: BTreeMap<String, Found>,
    not_asked: &[String],
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
        if drift_found(database, &finding).await? {
            tracing::warn!(object = name, kind = kind.as_str(), sentence, "drift");
        }
    }
    let names: Vec<String> = found.into_keys().collect();
    drift_left(database, kind, object_type, &names, not_asked).await
}
