//! Plans: named sets of quotas and rates, for who operates the platform and who bills.

use chrono::{DateTime, Utc};
use db::OperatorScope;
use db::plans::{Plan, plan_create, plan_delete, plan_get, plan_list, plan_set};
use model::Error;
use model::slug::Slug;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use validator::Validate;

use super::Tag;
use super::quotas::{QuotasObject, RatesObject};
use crate::access::{Access, InPath, PlanName, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::idempotency::Key;
use crate::problem::Problem;

/// The endpoints of plans.
pub(crate) struct Plans;

/// A new plan.
#[derive(Debug, Object, Validate)]
pub(crate) struct PlanCreate {
    /// Unique in the installation; it stays.
    #[oai(validator(
        min_length = 1,
        max_length = 40,
        pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
    ))]
    name: String,
    /// Most of each; of what is not given, as much as anybody likes.
    quotas: QuotasObject,
    /// Requests a minute that are taken of each token.
    #[oai(default)]
    rates: RatesObject,
}

/// What a plan gives from now on.
#[derive(Debug, Object, Validate)]
pub(crate) struct PlanSet {
    /// All of it: of what is not given, as much as anybody likes.
    quotas: QuotasObject,
    /// Requests a minute that are taken of each token: of what is not given, the standard rates.
    #[oai(default)]
    rates: RatesObject,
}

/// A named set of quotas and rates.
#[derive(Debug, Object)]
#[oai(rename = "Plan")]
pub(crate) struct PlanObject {
    /// Its name. Organizations are born with the plan `default`; who operates the platform is served at the rates of `operators`.
    name: String,
    /// Most of each; `null`: as much as anybody likes.
    quotas: QuotasObject,
    /// Requests a minute that are taken of each token.
    rates: RatesObject,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
}

/// The installation's plans, by name.
#[derive(Debug, Object)]
pub(crate) struct PlanList {
    /// All of them.
    items: Vec<PlanObject>,
}

/// The answer to a new plan.
#[derive(ApiResponse)]
pub(crate) enum PlanCreated {
    /// It can be given to organizations.
    #[oai(status = 201)]
    Created(
        Json<PlanObject>,
        /// Path of the plan.
        #[oai(header = "Location")]
        String,
    ),
}

/// The answer to a removed plan.
#[derive(ApiResponse)]
pub(crate) enum PlanDeleted {
    /// It is gone.
    #[oai(status = 204)]
    Deleted,
}

impl From<Plan> for PlanObject {
    fn from(row: Plan) -> Self {
        Self {
            quotas: (&row.quotas.0).into(),
            rates: RatesObject::each(|class| Some(row.rates.0.of(class))),
            name: row.name,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[OpenApi(tag = "Tag::Quotas")]
impl Plans {
    /// Make a plan
    ///
    /// For operators and billing systems.
    #[oai(path = "/v1/admin/plans", method = "post", operation_id = "plan_create")]
    async fn create(
        &self,
        access: Access<action::QuotaManage, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<PlanCreate>,
    ) -> Result<Done<PlanCreated>, Problem> {
        let request = access.request(key.with(&body));
        let PlanCreate { name, quotas, rates } = body.value;
        let gives = (&quotas.into(), &rates.into());
        let name: Slug = name.parse().map_err(Error::internal)?;
        let answer = |made: Plan| {
            let location = format!("/v1/admin/plans/{}", made.name);
            kept(PlanCreated::Created(Json(made.into()), location))
        };
        let database = &access.state.database;
        let answered = plan_create(database, access.scope, &name, gives, &request, answer).await?;
        Ok(Done::of(answered)?)
    }

    /// List the plans
    ///
    /// By name, all of them. For operators.
    #[oai(path = "/v1/admin/plans", method = "get", operation_id = "plan_list")]
    async fn list(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
    ) -> Result<Json<PlanList>, Problem> {
        let plans = plan_list(&access.state.database, access.scope).await?;
        Ok(Json(PlanList { items: plans.into_iter().map(PlanObject::from).collect() }))
    }

    /// Get a plan
    #[oai(path = "/v1/admin/plans/:plan", method = "get", operation_id = "plan_get")]
    async fn get(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
        InPath(plan): InPath<PlanName>,
    ) -> Result<Json<PlanObject>, Problem> {
        Ok(Json(plan_get(&access.state.database, access.scope, &plan.0).await?.into()))
    }

    /// Set what a plan gives
    ///
    /// It counts at once for every organization that has the plan. What is used beyond it stays, and only what would grow is refused.
    #[oai(path = "/v1/admin/plans/:plan", method = "put", operation_id = "plan_set")]
    async fn set(
        &self,
        access: Access<action::QuotaManage, OperatorScope>,
        InPath(plan): InPath<PlanName>,
        body: Body<PlanSet>,
    ) -> Result<Json<PlanObject>, Problem> {
        let request = access.request(None);
        let database = &access.state.database;
        let PlanSet { quotas, rates } = body.value;
        let gives = (&quotas.into(), &rates.into());
        Ok(Json(plan_set(database, access.scope, &plan.0, gives, &request).await?.into()))
    }

    /// Remove a plan
    ///
    /// Refused while an organization has it; the plans `default` and `operators` stay.
    #[oai(path = "/v1/admin/plans/:plan", method = "delete", operation_id = "plan_delete")]
    async fn delete(
        &self,
        access: Access<action::QuotaManage, OperatorScope>,
        InPath(plan): InPath<PlanName>,
    ) -> Result<PlanDeleted, Problem> {
        let request = access.request(None);
        plan_delete(&access.state.database, access.scope, &plan.0, &request).await?;
        Ok(PlanDeleted::Deleted)
    }
}
