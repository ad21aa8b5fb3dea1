//! Quotas: what an organization may use, and what it uses.

use chrono::NaiveDate;
use db::OrgScope;
use db::quotas::{QuotaUse, quotas_get, quotas_set};
use model::Error;
use model::quota::{Quota, Quotas};
use model::rate::{RateClass, Rates};
use model::slug::Slug;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use validator::Validate;

use super::Tag;
use crate::access::{Access, action};
use crate::body::Body;
use crate::problem::Problem;
use crate::word::Word;

/// The endpoints of quotas.
pub(crate) struct QuotaEndpoints;

/// Most of each; what is not given is `null`.
#[derive(Debug, Default, Object, Validate)]
#[oai(rename = "Quotas")]
pub(crate) struct QuotasObject {
    /// Thousandths of a core, reserved for apps: each replica's limit, those included that run beside others in an update.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    cpu_millis: Option<i64>,
    /// MB (2^20 bytes) of memory, reserved likewise.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    memory_mb: Option<i64>,
    /// GB (2^30 bytes) of disk, reserved likewise: accounted, not enforced.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    disk_gb: Option<i64>,
    /// Replicas, reserved likewise.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    replicas: Option<i64>,
    /// Apps, deployed or not.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    apps: Option<i64>,
    /// Environments, `production` included.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    environments: Option<i64>,
    /// Secrets and configs, in all environments.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    secrets: Option<i64>,
    /// People in the organization.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    members: Option<i64>,
    /// Tokens of the organization that work.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    tokens: Option<i64>,
    /// Deployments that somebody asked for and that bring something up, on one day (UTC).
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000000")))]
    deployments_per_day: Option<i64>,
}

impl QuotasObject {
    const fn most(&self, quota: Quota) -> Option<i64> {
        match quota {
            Quota::CpuMillis => self.cpu_millis,
            Quota::MemoryMb => self.memory_mb,
            Quota::DiskGb => self.disk_gb,
            Quota::Replicas => self.replicas,
            Quota::Apps => self.apps,
            Quota::Environments => self.environments,
            Quota::Secrets => self.secrets,
            Quota::Members => self.members,
            Quota::Tokens => self.tokens,
            Quota::DeploymentsPerDay => self.deployments_per_day,
        }
    }
}

impl From<QuotasObject> for Quotas {
    fn from(object: QuotasObject) -> Self {
        Quota::ALL.iter().filter_map(|quota| Some((*quota, object.most(*quota)?))).collect()
    }
}

impl From<&Quotas> for QuotasObject {
    fn from(quotas: &Quotas) -> Self {
        Self {
            cpu_millis: quotas.most(Quota::CpuMillis),
            memory_mb: quotas.most(Quota::MemoryMb),
            disk_gb: quotas.most(Quota::DiskGb),
            replicas: quotas.most(Quota::Replicas),
            apps: quotas.most(Quota::Apps),
            environments: quotas.most(Quota::Environments),
            secrets: quotas.most(Quota::Secrets),
            members: quotas.most(Quota::Members),
            tokens: quotas.most(Quota::Tokens),
            deployments_per_day: quotas.most(Quota::DeploymentsPerDay),
        }
    }
}

/// Requests a minute that are taken of each token; of a class that is not given, the plan's rate, and of a plan the standard one.
#[derive(Debug, Default, Object, Validate)]
#[oai(rename = "Rates")]
pub(crate) struct RatesObject {
    /// What reads and writes; 100 where nothing is said.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    general: Option<u32>,
    /// What has workers act on the swarm, or ask others; 20 where nothing is said.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    operations: Option<u32>,
    /// What gathers a lot at once; 10 where nothing is said.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    aggregations: Option<u32>,
}

impl From<RatesObject> for Rates {
    fn from(object: RatesObject) -> Self {
        let of = |class: &RateClass| match class {
            RateClass::General => object.general,
            RateClass::Operations => object.operations,
            RateClass::Aggregations => object.aggregations,
        };
        RateClass::ALL.iter().filter_map(|class| Some((*class, of(class)?))).collect()
    }
}

impl RatesObject {
    /// Each class, as this says.
    pub(super) fn each(of: impl Fn(RateClass) -> Option<u32>) -> Self {
        Self {
            general: of(RateClass::General),
            operations: of(RateClass::Operations),
            aggregations: of(RateClass::Aggregations),
        }
    }
}

/// What an organization may use.
#[derive(Debug, Object, Validate)]
pub(crate) struct OrganizationQuotasSet {
    /// Name of its plan.
    #[oai(validator(
        min_length = 1,
        max_length = 40,
        pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
    ))]
    plan: String,
    /// Its own, in the place of the plan's. All of them: what is not given is the plan's again.
    #[oai(default)]
    overrides: QuotasObject,
    /// Its own rates, likewise.
    #[oai(default)]
    rate_overrides: RatesObject,
}

/// What an organization may use, and what it uses.
#[derive(Debug, Object)]
#[oai(rename = "OrganizationQuotas")]
pub(crate) struct OrganizationQuotasObject {
    /// Name of its plan.
    plan: String,
    /// Its own, in the place of the plan's.
    overrides: QuotasObject,
    /// Its own rates, in the place of the plan's.
    rate_overrides: RatesObject,
    /// Requests a minute that are taken of each token.
    rates: RatesObject,
    /// The day (UTC) that deployments are counted on.
    day: NaiveDate,
    /// Each quota, with what is used of it.
    quotas: Vec<QuotaObject>,
}

/// One quota, and what is used of it.
#[derive(Debug, Object)]
#[oai(rename = "Quota")]
pub(crate) struct QuotaObject {
    /// Of what.
    name: Word<Quota>,
    /// Most of it; `null`: as much as anybody likes.
    limit: Option<i64>,
    /// What is used. More than `limit` where that was lowered since: nothing of it is ended, and nothing more is given.
    used: i64,
}

impl From<QuotaUse> for OrganizationQuotasObject {
    fn from(row: QuotaUse) -> Self {
        let quota = |quota: &Quota| QuotaObject {
            name: Word(*quota),
            limit: row.limit(*quota),
            used: row.used(*quota),
        };
        Self {
            quotas: Quota::ALL.iter().map(quota).collect(),
            overrides: (&row.overrides.0).into(),
            rate_overrides: RatesObject::each(|class| row.rate_overrides.0.said(class)),
            rates: RatesObject::each(|class| Some(row.rate(class))),
            day: row.day,
            plan: row.plan,
        }
    }
}

/// The answer to quotas that were set.
#[derive(ApiResponse)]
pub(crate) enum QuotasChanged {
    /// They count from now on.
    #[oai(status = 200)]
    Changed(Json<OrganizationQuotasObject>),
}

#[OpenApi(tag = "Tag::Quotas")]
impl QuotaEndpoints {
    /// Get what an organization may use, and what it uses
    #[oai(
        path = "/v1/organizations/:organization/quotas",
        method = "get",
        operation_id = "quotas_get"
    )]
    async fn get(
        &self,
        access: Access<action::QuotaRead, OrgScope>,
    ) -> Result<Json<OrganizationQuotasObject>, Problem> {
        Ok(Json(quotas_get(&access.state.database, access.scope).await?.into()))
    }

    /// Set what an organization may use
    ///
    /// Its plan, and quotas and rates in the place of the plan's. They count from now on: what is used beyond them stays, and only what would grow
    /// is refused.
    #[oai(
        path = "/v1/organizations/:organization/quotas",
        method = "put",
        operation_id = "quotas_set"
    )]
    async fn set(
        &self,
        access: Access<action::QuotaManage, OrgScope>,
        body: Body<OrganizationQuotasSet>,
    ) -> Result<QuotasChanged, Problem> {
        let OrganizationQuotasSet { plan, overrides, rate_overrides } = body.value;
        let plan: Slug = plan.parse().map_err(Error::internal)?;
        let request = access.request(None);
        let database = &access.state.database;
        let own = (&overrides.into(), &rate_overrides.into());
        let set = quotas_set(database, access.scope, &plan, own, &request).await?;
        Ok(QuotasChanged::Changed(Json(set.into())))
    }
}
