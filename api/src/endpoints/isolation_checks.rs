//! Isolation checks: probes on environments' networks that try to reach each other. For operators.

use chrono::{DateTime, Utc};
use db::isolation_checks::{
    Wanted, isolation_check_create, isolation_check_get, isolation_check_list,
};
use db::{OperatorScope, Segment};
use model::id::IsolationCheckId;
use model::isolation_check::{
    CheckStatus, Expectation, FEWEST, Finding, IsolationCheck, IsolationVerdict,
};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use validator::Validate;

use super::Tag;
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoints of isolation checks.
pub(crate) struct IsolationChecks;

/// Which environments to check.
#[derive(Debug, Object, Validate)]
pub(crate) struct IsolationCheckCreate {
    /// `production` of each of these organizations, by slug or id.
    #[oai(validator(
        min_items = 2,
        max_items = 4,
        unique_items,
        min_length = 1,
        max_length = 40,
        pattern = "^[a-z][a-z0-9_-]*$"
    ))]
    organizations: Option<Vec<String>>,
    /// So many environments that something is deployed in, of different organizations, by chance: where none is named. 2
    /// where it is not given.
    #[oai(validator(minimum(value = "2"), maximum(value = "4")))]
    sample: Option<u8>,
}

impl From<IsolationCheckCreate> for Wanted {
    fn from(wanted: IsolationCheckCreate) -> Self {
        match (wanted.organizations, wanted.sample) {
            (Some(organizations), _) => {
                let named = organizations.iter().map(|text| Segment::from(text.as_str()));
                Self::Organizations(named.collect())
            }
            (None, size) => Self::Sample(size.map_or(FEWEST, usize::from)),
        }
    }
}

/// A check of whether environments are apart.
#[derive(Debug, Object)]
#[oai(rename = "IsolationCheck")]
pub(crate) struct IsolationCheckObject {
    /// Its id (`chk_…`).
    id: String,
    /// How far it is.
    status: Word<CheckStatus>,
    /// Ids of the environments (`env_…`), each tried with each other, in both directions.
    environments: Vec<String>,
    /// Id of the token that asked for it; `null`: the platform itself did.
    requested_by: Option<String>,
    /// What it came to; `null`: it has not ended.
    verdict: Option<Word<IsolationVerdict>>,
    /// The same in a sentence, with what the containers reached of their nodes.
    sentence: Option<String>,
    /// When its probes were started.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// When it was asked for.
    created_at: DateTime<Utc>,
}

/// A check with its evidence.
#[derive(Debug, Object)]
pub(crate) struct IsolationCheckWithFindings {
    /// The check.
    #[oai(flatten)]
    check: IsolationCheckObject,
    /// What each attempt found.
    findings: Vec<FindingObject>,
}

/// What one attempt found.
#[derive(Debug, Object)]
#[oai(rename = "IsolationFinding")]
pub(crate) struct FindingObject {
    /// The environment that it was tried from, as `organization/environment`.
    from: String,
    /// The node that it was tried on.
    node: String,
    /// The environment that it was tried towards; `null`: the node itself.
    to: Option<String>,
    /// `tcp`, `udp`, `icmp` or `name`.
    probe: String,
    /// What was tried to be reached.
    target: String,
    /// What was expected.
    expected: Word<Expectation>,
    /// What came of it.
    outcome: String,
    /// Whether that is what was expected.
    as_expected: bool,
}

impl From<Finding> for FindingObject {
    fn from(found: Finding) -> Self {
        let Finding { from, node, to, probe, target, expected, outcome, as_expected } = found;
        let expected = Word(expected);
        Self { from, node, to, probe, target, expected, outcome, as_expected }
    }
}

impl From<IsolationCheck> for IsolationCheckObject {
    fn from(row: IsolationCheck) -> Self {
        Self {
            id: row.id.to_string(),
            status: Word(row.status),
            environments: row.environments.iter().map(ToString::to_string).collect(),
            requested_by: row.requested_by.map(|id| id.to_string()),
            verdict: row.verdict.map(Word),
            sentence: row.sentence,
            started_at: row.started_at,
            finished_at: row.finished_at,
            created_at: row.created_at,
        }
    }
}

/// The answer to who asked for a check.
#[derive(ApiResponse)]
pub(crate) enum IsolationCheckAccepted {
    /// A worker runs it; look at it.
    #[oai(status = 202)]
    Accepted(
        Json<IsolationCheckObject>,
        /// Path of the check.
        #[oai(header = "Location")]
        String,
    ),
}

#[OpenApi(tag = "Tag::Platform")]
impl IsolationChecks {
    /// Check whether environments are apart
    ///
    /// A worker starts tasks of the platform's own on their networks, on up to two nodes. They try each other over TCP, UDP and
    /// ICMP, each other's names, and what their node has open towards them. What stays inside one network has to be answered,
    /// or the check proves nothing. For operators.
    #[oai(
        path = "/v1/admin/isolation-checks",
        method = "post",
        operation_id = "isolation_check_create"
    )]
    async fn create(
        &self,
        access: Access<action::IsolationTry, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<IsolationCheckCreate>,
    ) -> Result<Done<IsolationCheckAccepted>, Problem> {
        let request = access.request(key.with(&body));
        let wanted = body.value.into();
        let answer = |made: IsolationCheck| {
            let location = format!("/v1/admin/isolation-checks/{}", made.id);
            kept(IsolationCheckAccepted::Accepted(Json(made.into()), location))
        };
        let database = &access.state.database;
        let answered =
            isolation_check_create(database, access.scope, &wanted, &request, answer).await?;
        Ok(Done::of(answered)?)
    }

    /// List the isolation checks
    ///
    /// Newest first, without their evidence. For operators.
    #[oai(
        path = "/v1/admin/isolation-checks",
        method = "get",
        operation_id = "isolation_check_list"
    )]
    async fn list(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<IsolationCheckObject>>, Problem> {
        let page = isolation_check_list(&access.state.database, access.scope, page).await?;
        Ok(Json(PageObject::of(page, IsolationCheckObject::from)))
    }

    /// Get an isolation check
    ///
    /// With its evidence. For operators.
    #[oai(
        path = "/v1/admin/isolation-checks/:check",
        method = "get",
        operation_id = "isolation_check_get"
    )]
    async fn get(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
        InPath(id): InPath<IsolationCheckId>,
    ) -> Result<Json<IsolationCheckWithFindings>, Problem> {
        let mut check = isolation_check_get(&access.state.database, access.scope, id).await?;
        let findings = check.findings.take().map(|findings| findings.0).unwrap_or_default();
        let findings = findings.into_iter().map(FindingObject::from).collect();
        Ok(Json(IsolationCheckWithFindings { check: check.into(), findings }))
    }
}
