//! Plans: named sets of quotas and rates, made by who bills.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::error::ErrorCode;
use model::policy::access::Action;
use model::quota::{DEFAULT_PLAN, MAX_PLANS, Quotas};
use model::rate::{OPERATORS_PLAN, Rates};
use model::schema::plans;
use model::slug::Slug;
use model::stored::Stored;
use model::{Error, Result};

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure, violates_foreign_key, violates_unique};
use crate::now::now;
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::OperatorScope;

/// A plan's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = plans)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Most of each.
    pub quotas: Stored<Quotas>,
    /// Requests a minute.
    pub rates: Stored<Rates>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// Makes a plan.
pub async fn plan_create(
    database: &Database,
    operator: OperatorScope,
    name: &Slug,
    (quotas, rates): (&Quotas, &Rates),
    request: &Request,
    answer: impl Fn(Plan) -> Result<Answer> + Sync,
) -> Result<Answered> {
    operator.require(Action::QuotaManage)?;
    let mut connection = database.platform(operator).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            few_enough(connection).await?;
            let plan = diesel::insert_into(plans::table)
                .values((
                    plans::name.eq(name.as_str()),
                    plans::quotas.eq(Stored(quotas.clone())),
                    plans::rates.eq(Stored(rates.clone())),
                ))
                .returning(Plan::as_returning())
                .get_result(connection)
                .await
                .map_err(|error| {
                    if violates_unique(&error, "plans_pkey") {
                        let message = format!("a plan {name} exists; choose another name");
                        Failure::Refused(Error::new(ErrorCode::AlreadyExists, message))
                    } else {
                        Failure::from(error)
                    }
                })?;
            let mutation = audited("plan.create", name.as_str(), None, Some(&plan));
            request.finish(connection, mutation, answer(plan)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Gives a plan other quotas and rates. They count at once for every organization that has it, and what is past them already stays.
pub async fn plan_set(
    database: &Database,
    operator: OperatorScope,
    name: &Slug,
    (quotas, rates): (&Quotas, &Rates),
    request: &Request,
) -> Result<Plan> {
    operator.require(Action::QuotaManage)?;
    let mut connection = database.platform(operator).await?;
    let set = connection
        .transaction(async |connection| {
            let before = plan_find(connection, name).await?;
            let before = before.ok_or_else(|| Error::not_found("plan"))?;
            let plan = diesel::update(plans::table.find(name.as_str()))
                .set((
                    plans::quotas.eq(Stored(quotas.clone())),
                    plans::rates.eq(Stored(rates.clone())),
                    plans::updated_at.eq(now()),
                ))
                .returning(Plan::as_returning())
                .get_result(connection)
                .await
                .optional()?
                .ok_or_else(|| Error::not_found("plan"))?;
            let mutation = audited("plan.set", name.as_str(), Some(&before), Some(&plan));
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(plan)
        })
        .await?;
    Ok(set)
}

/// All plans, by name. There are [`MAX_PLANS`] at most.
pub async fn plan_list(database: &Database, operator: OperatorScope) -> Result<Vec<Plan>> {
    operator.require(Action::PlatformRead)?;
    let mut connection = database.platform(operator).await?;
    plans::table
        .order(plans::name)
        .limit(MAX_PLANS)
        .select(Plan::as_select())
        .load(&mut connection)
        .await
        .map_err(failure::postgres)
}

/// One plan.
pub async fn plan_get(database: &Database, operator: OperatorScope, name: &Slug) -> Result<Plan> {
    operator.require(Action::PlatformRead)?;
    let mut connection = database.platform(operator).await?;
    let found = plan_find(&mut connection, name).await.map_err(failure::postgres)?;
    found.ok_or_else(|| Error::not_found("plan"))
}

/// Removes a plan that no organization has.
pub async fn plan_delete(
    database: &Database,
    operator: OperatorScope,
    name: &Slug,
    request: &Request,
) -> Result<()> {
    operator.require(Action::QuotaManage)?;
    if [DEFAULT_PLAN, OPERATORS_PLAN].contains(&name.as_str()) {
        let message = format!("the plan {name} is the platform's own: set what it gives instead");
        return Err(Error::new(ErrorCode::NotRemovable, message));
    }
    let mut connection = database.platform(operator).await?;
    connection
        .transaction(async |connection| {
            let plan = diesel::delete(plans::table.find(name.as_str()))
                .returning(Plan::as_returning())
                .get_result(connection)
                .await
                .optional()
                .map_err(|error| {
                    if violates_foreign_key(&error, "organization_quotas_plan_fkey") {
                        let message =
                            format!("organizations have the plan {name}: give them another first");
                        Failure::Refused(Error::new(ErrorCode::InUse, message))
                    } else {
                        Failure::from(error)
                    }
                })?;
            let plan = plan.ok_or_else(|| Error::not_found("plan"))?;
            let mutation = audited("plan.delete", name.as_str(), Some(&plan), None);
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

async fn plan_find(connection: &mut AsyncPgConnection, name: &Slug) -> QueryResult<Option<Plan>> {
    plans::table.find(name.as_str()).select(Plan::as_select()).first(connection).await.optional()
}

async fn few_enough(connection: &mut AsyncPgConnection) -> Result<(), Failure> {
    let there: i64 = plans::table.count().get_result(connection).await?;
    if there < MAX_PLANS {
        return Ok(());
    }
    let message =
        format!("there are {there} plans, and no more than {MAX_PLANS} may be: remove one");
    Err(Error::new(ErrorCode::TooMany, message).into())
}

fn audited<'a>(
    action: &'a str,
    name: &str,
    before: Option<&Plan>,
    after: Option<&Plan>,
) -> Mutation<'a> {
    let told = |plan: &Plan| serde_json::json!({ "quotas": plan.quotas.0, "rates": plan.rates.0 });
    Mutation {
        organization: None,
        action,
        object: name.to_owned(),
        before: before.map(told),
        after: after.map(told),
        deployment: None,
    }
}
