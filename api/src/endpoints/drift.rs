//! Drift: what workers found in Swarm that is not as the platform has it. For operators to look at.

use chrono::{DateTime, Utc};
use db::OperatorScope;
use db::drift::drift_list;
use model::drift::{Drift, DriftKind, ObjectType};
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use crate::access::{Access, action};
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoint of drift.
pub(crate) struct DriftEndpoints;

/// Something in Swarm that is not as the platform has it.
#[derive(Debug, Object)]
#[oai(rename = "Drift")]
pub(crate) struct DriftObject {
    /// Its id (`drf_…`).
    id: String,
    /// What is wrong.
    kind: Word<DriftKind>,
    /// With what kind of thing.
    object_type: Word<ObjectType>,
    /// Its name in Swarm.
    object: String,
    /// Id of its organization (`org_…`), where it is known.
    organization: Option<String>,
    /// Id of its app (`app_…`), where it is known.
    app: Option<String>,
    /// What was seen, in a sentence.
    sentence: String,
    /// Id of the repair that it led to (`dep_…`).
    repair: Option<String>,
    /// When it was seen first.
    created_at: DateTime<Utc>,
    /// When it was seen last.
    seen_at: DateTime<Utc>,
    /// Since when nothing is to be done about it any more; `null`: it is open.
    resolved_at: Option<DateTime<Utc>>,
}

impl From<Drift> for DriftObject {
    fn from(drift: Drift) -> Self {
        Self {
            id: drift.id.to_string(),
            kind: Word(drift.kind),
            object_type: Word(drift.object_type),
            object: drift.object,
            organization: drift.organization_id.map(|id| id.to_string()),
            app: drift.app_id.map(|id| id.to_string()),
            sentence: drift.sentence,
            repair: drift.deployment_id.map(|id| id.to_string()),
            created_at: drift.created_at,
            seen_at: drift.seen_at,
            resolved_at: drift.resolved_at,
        }
    }
}

#[OpenApi(tag = "Tag::Platform")]
impl DriftEndpoints {
    /// List what has drifted
    ///
    /// Services that somebody else changed or removed, and objects that carry this installation's label
    /// though it does not know them. Newest first. For operators.
    #[oai(path = "/v1/admin/drift", method = "get", operation_id = "drift_list")]
    async fn list(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
        PageQuery(page): PageQuery,
        /// Also what is resolved; that is kept for 30 days.
        #[oai(default)]
        resolved: Query<bool>,
    ) -> Result<Json<PageObject<DriftObject>>, Problem> {
        let open = !resolved.0;
        let page = drift_list(&access.state.database, access.scope, open, page).await?;
        Ok(Json(PageObject::of(page, DriftObject::from)))
    }
}
