//! What an organization may use, and what it uses. Postgres moves the use by itself, and refuses what would be more (migration `quotas`).

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Jsonb, Text, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::Result;
use model::error::{Error, Violation};
use model::id::OrganizationId;
use model::policy::access::Action;
use model::quota::{Quota, Quotas};
use model::rate::{RateClass, Rates};
use model::schema::organization_quotas;
use model::slug::Slug;
use model::stored::Stored;

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure, violates_foreign_key};
use crate::now::now;
use crate::pool::Database;
use crate::prepared::Prepared;
use crate::requests::Request;
use crate::scope::OrgScope;

/// What an organization may use and uses.
#[derive(Debug, Clone, QueryableByName)]
pub struct QuotaUse {
    /// Name of its plan.
    #[diesel(sql_type = Text)]
    pub plan: String,
    /// What the plan gives.
    #[diesel(sql_type = Jsonb)]
    of_plan: Stored<Quotas>,
    /// What it has in the place of the plan's.
    #[diesel(sql_type = Jsonb)]
    pub overrides: Stored<Quotas>,
    /// Requests a minute that the plan gives.
    #[diesel(sql_type = Jsonb)]
    rates_of_plan: Stored<Rates>,
    /// What it has in the place of those.
    #[diesel(sql_type = Jsonb)]
    pub rate_overrides: Stored<Rates>,
    #[diesel(sql_type = BigInt)]
    cpu_millis: i64,
    #[diesel(sql_type = BigInt)]
    memory_mb: i64,
    #[diesel(sql_type = BigInt)]
    disk_gb: i64,
    #[diesel(sql_type = BigInt)]
    replicas: i64,
    #[diesel(sql_type = BigInt)]
    apps: i64,
    #[diesel(sql_type = BigInt)]
    environments: i64,
    #[diesel(sql_type = BigInt)]
    secrets: i64,
    #[diesel(sql_type = BigInt)]
    members: i64,
    #[diesel(sql_type = BigInt)]
    tokens: i64,
    #[diesel(sql_type = BigInt)]
    deployments: i64,
    /// The day (UTC) that its deployments are counted on.
    #[diesel(sql_type = Date)]
    pub day: NaiveDate,
}

impl QuotaUse {
    /// Most of this; `None`: as much as anybody likes.
    pub fn limit(&self, quota: Quota) -> Option<i64> {
        self.overrides.0.most(quota).or_else(|| self.of_plan.0.most(quota))
    }

    /// Requests a minute of this class that are taken of each token.
    pub fn rate(&self, class: RateClass) -> u32 {
        let own = self.rate_overrides.0.said(class);
        own.unwrap_or_else(|| self.rates_of_plan.0.of(class))
    }

    /// What is used of it.
    pub const fn used(&self, quota: Quota) -> i64 {
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
            Quota::DeploymentsPerDay => self.deployments,
        }
    }
}

/// What the organization may use and uses.
pub async fn quotas_get(database: &Database, scope: OrgScope) -> Result<QuotaUse> {
    let organization = scope.allowing(Action::QuotaRead)?;
    let mut connection = database.tenant(organization).await?;
    quotas_find(&mut connection, organization)
        .await
        .map_err(failure::postgres)?
        .ok_or_else(|| Error::not_found("organization"))
}

/// Gives the organization a plan, and quotas in the place of the plan's. What is past them already stays, and only what grows is refused.
pub async fn quotas_set(
    database: &Database,
    scope: OrgScope,
    plan: &Slug,
    (overrides, rates): (&Quotas, &Rates),
    request: &Request,
) -> Result<QuotaUse> {
    let organization = scope.allowing(Action::QuotaManage)?;
    let mut connection = database.tenant(organization).await?;
    let set = connection
        .transaction(async |connection| {
            let missing = || Error::not_found("organization");
            let before = quotas_find(connection, organization).await?.ok_or_else(missing)?;
            diesel::update(organization_quotas::table.find(organization))
                .set((
                    organization_quotas::plan.eq(plan.as_str()),
                    organization_quotas::overrides.eq(Stored(overrides.clone())),
                    organization_quotas::rate_overrides.eq(Stored(rates.clone())),
                    organization_quotas::updated_at.eq(now()),
                ))
                .execute(connection)
                .await
                .map_err(|error| {
                    if violates_foreign_key(&error, "organization_quotas_plan_fkey") {
                        let rule = format!("the name of a plan, and there is none called {plan}");
                        Failure::Refused(Error::invalid(vec![Violation::new("plan", rule)]))
                    } else {
                        Failure::from(error)
                    }
                })?;
            let after = quotas_find(connection, organization).await?.ok_or_else(missing)?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "quota.set",
                object: organization.to_string(),
                before: Some(audited(&before)),
                after: Some(audited(&after)),
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(after)
        })
        .await?;
    Ok(set)
}

fn audited(quotas: &QuotaUse) -> serde_json::Value {
    serde_json::json!({
        "plan": quotas.plan, "overrides": quotas.overrides.0, "rate_overrides": quotas.rate_overrides.0,
    })
}

/// Tokens end by themselves, and days do: both are counted as of now.
async fn quotas_find(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
) -> QueryResult<Option<QuotaUse>> {
    let query = diesel::sql_query(
        "SELECT q.plan, p.quotas AS of_plan, q.overrides, p.rates AS rates_of_plan, q.rate_overrides, q.used_cpu_millis AS cpu_millis, q.used_memory_mb AS memory_mb,
             q.used_disk_gb AS disk_gb, q.used_replicas AS replicas, q.used_apps AS apps, q.used_environments AS environments,
             q.used_secrets AS secrets, q.used_members AS members, (
                 SELECT count(*) FROM tokens t
                 WHERE t.organization_id = q.organization_id AND t.revoked_at IS NULL AND t.rotated_to IS NULL
                     AND (t.expires_at IS NULL OR t.expires_at > now())
             ) AS tokens,
             CASE q.deployments_on WHEN today.day THEN q.used_deployments ELSE 0 END AS deployments, today.day
         FROM organization_quotas q JOIN plans p ON p.name = q.plan,
             (SELECT (now() AT TIME ZONE 'UTC')::date AS day) AS today
         WHERE q.organization_id = $1",
    )
    .bind::<Uuid, _>(organization);
    Prepared(query).get_result(connection).await.optional()
}
