//! Isolation checks: asked for by operators, or by the clock; run by workers.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Text, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::error::ErrorCode;
use model::id::{EnvironmentId, IsolationCheckId, OrganizationId};
use model::isolation_check::{
    CheckStatus, FEWEST, Finding, IsolationCheck, IsolationVerdict, MOST,
};
use model::network::Network;
use model::policy::access::Action;
use model::schema::{environments, isolation_checks, networks, organizations};
use model::stored::Stored;
use model::{Error, Result};

use crate::audit::Mutation;
use crate::failure::{self, Failure};
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::OperatorScope;
use crate::segment::Segment;

/// Most checks that wait or run: each starts tasks.
const MOST_OPEN: i64 = 20;

/// Which environments to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `production` of each of these organizations.
    Organizations(Vec<Segment<OrganizationId>>),
    /// So many environments that something is deployed in, of different organizations, by chance.
    Sample(usize),
}

/// Has a worker check whether environments are apart.
pub async fn isolation_check_create(
    database: &Database,
    operator: OperatorScope,
    wanted: &Wanted,
    request: &Request,
    answer: impl Fn(IsolationCheck) -> Result<Answer> + Sync,
) -> Result<Answered> {
    operator.require(Action::PlatformOperate)?;
    let mut connection = database.platform(operator).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let open: i64 = isolation_checks::table
                .filter(isolation_checks::status.ne(CheckStatus::Ended))
                .count()
                .get_result(connection)
                .await?;
            if open >= MOST_OPEN {
                let message = format!("{open} checks wait or run: wait for their end");
                return Err(Error::new(ErrorCode::TooMany, message).into());
            }
            let found = match wanted {
                Wanted::Organizations(organizations) => of(connection, organizations).await?,
                Wanted::Sample(size) => sample(connection, *size).await?,
            };
            let made: IsolationCheck = diesel::insert_into(isolation_checks::table)
                .values((
                    isolation_checks::id.eq(IsolationCheckId::new()),
                    isolation_checks::environments.eq(&found),
                    isolation_checks::requested_by.eq(request.actor.credential.token()),
                ))
                .returning(IsolationCheck::as_returning())
                .get_result(connection)
                .await?;
            let environments: Vec<String> = found.iter().map(ToString::to_string).collect();
            let mutation = Mutation {
                organization: None,
                action: "isolation_check.create",
                object: made.id.to_string(),
                before: None,
                after: Some(serde_json::json!({ "environments": environments })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// The environment `production` of each of these.
async fn of(
    connection: &mut AsyncPgConnection,
    wanted: &[Segment<OrganizationId>],
) -> Result<Vec<EnvironmentId>, Failure> {
    let mut found: Vec<EnvironmentId> = Vec::new();
    for organization in wanted {
        let query = environments::table
            .inner_join(organizations::table)
            .filter(organizations::deleted_at.is_null())
            .filter(environments::slug.eq(model::environment::PRODUCTION))
            .select(environments::id)
            .into_boxed();
        let query = crate::scope::named!(query, organizations, organization);
        let environment = query.first(connection).await.optional()?;
        let environment = environment.ok_or_else(|| Error::not_found("organization"))?;
        if found.contains(&environment) {
            let message = "an organization is named twice: by its slug and by its id";
            return Err(Error::new(ErrorCode::Overlap, message).into());
        }
        found.push(environment);
    }
    Ok(found)
}

#[derive(QueryableByName)]
struct Sampled {
    #[diesel(sql_type = Uuid)]
    id: EnvironmentId,
}

/// One environment of each organization that has one with something deployed in it, by chance.
const SAMPLE: &str = "SELECT id FROM (
         SELECT DISTINCT ON (organization_id) environment_id AS id FROM networks
         WHERE retired_at IS NULL AND reserved_addresses > 0
         ORDER BY organization_id, random()
     ) AS one_of_each
     ORDER BY random() LIMIT $1";

async fn sample(
    connection: &mut AsyncPgConnection,
    size: usize,
) -> Result<Vec<EnvironmentId>, Failure> {
    let size = size.clamp(FEWEST, MOST);
    let found: Vec<Sampled> =
        diesel::sql_query(SAMPLE).bind::<BigInt, _>(size as i64).load(connection).await?;
    if found.len() < FEWEST {
        let message =
            "fewer than two organizations have something deployed: there is nothing to try";
        return Err(Error::new(ErrorCode::NothingDeployed, message).into());
    }
    Ok(found.into_iter().map(|one| one.id).collect())
}

/// One check.
pub async fn isolation_check_get(
    database: &Database,
    operator: OperatorScope,
    id: IsolationCheckId,
) -> Result<IsolationCheck> {
    operator.require(Action::PlatformRead)?;
    let mut connection = database.platform(operator).await?;
    isolation_checks::table
        .find(id)
        .select(IsolationCheck::as_select())
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?
        .ok_or_else(|| Error::not_found("isolation check"))
}

/// All checks that are kept, newest first.
pub async fn isolation_check_list(
    database: &Database,
    operator: OperatorScope,
    page: PageRequest,
) -> Result<Page<IsolationCheck>> {
    operator.require(Action::PlatformRead)?;
    let mut connection = database.platform(operator).await?;
    let mut query = isolation_checks::table
        .select(IsolationCheck::as_select())
        .order(isolation_checks::id.desc())
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(isolation_checks::id.lt(IsolationCheckId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |row: &IsolationCheck| row.id.as_uuid()))
}

/// Asks for a check of some environments by chance, where none was asked for within `every`. For workers.
pub async fn isolation_check_schedule(database: &Database, every: Duration) -> Result<()> {
    let mut connection = database.connection().await?;
    let every = i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
    connection
        .transaction(async |connection| {
            // Two workers ask once.
            diesel::sql_query("LOCK TABLE isolation_checks IN SHARE ROW EXCLUSIVE MODE")
                .execute(connection)
                .await?;
            diesel::sql_query(format!(
                "INSERT INTO isolation_checks (id, environments)
                 SELECT $2, array_agg(id) FROM ({SAMPLE}) AS sampled
                 WHERE NOT EXISTS (SELECT FROM isolation_checks WHERE created_at > now() - make_interval(secs => $3))
                 HAVING count(*) >= {FEWEST}"
            ))
            .bind::<BigInt, _>(MOST as i64)
            .bind::<Uuid, _>(IsolationCheckId::new())
            .bind::<Double, _>(every as f64)
            .execute(connection)
            .await
        })
        .await
        .map_err(failure::postgres)?;
    Ok(())
}

/// Takes up the oldest check that waits, or whose worker is gone, for five minutes. For workers.
pub async fn isolation_check_claim(database: &Database) -> Result<Option<IsolationCheck>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "UPDATE isolation_checks SET status = 'running', tries = tries + 1, started_at = now(),
             claimed_until = now() + interval '5 minutes', updated_at = now()
         WHERE id = (
             SELECT id FROM isolation_checks
             WHERE status = 'queued' OR (status = 'running' AND claimed_until < now())
             ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING *",
    )
    .get_result(&mut connection)
    .await
    .optional()
    .map_err(failure::postgres)
}

/// Ends a check, if it is this worker's still. For workers.
pub async fn isolation_check_end(
    database: &Database,
    check: &IsolationCheck,
    verdict: IsolationVerdict,
    sentence: &str,
    findings: &[Finding],
) -> Result<()> {
    let mut connection = database.connection().await?;
    let mine = isolation_checks::table
        .find(check.id)
        .filter(isolation_checks::status.eq(CheckStatus::Running))
        .filter(isolation_checks::tries.eq(check.tries));
    diesel::update(mine)
        .set((
            isolation_checks::status.eq(CheckStatus::Ended),
            isolation_checks::verdict.eq(verdict),
            isolation_checks::sentence.eq(sentence),
            isolation_checks::findings.eq(Stored(findings.to_vec())),
            isolation_checks::finished_at.eq(now().nullable()),
            isolation_checks::updated_at.eq(now()),
        ))
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(())
}

/// An environment that is checked.
#[derive(Debug, Clone)]
pub struct CheckedEnvironment {
    /// `organization/environment`.
    pub name: String,
    /// Its network.
    pub network: Network,
}

/// The environments of a check that are there still. For workers.
pub async fn isolation_check_environments(
    database: &Database,
    ids: &[EnvironmentId],
) -> Result<Vec<CheckedEnvironment>> {
    let mut connection = database.connection().await?;
    let rows: Vec<(String, String, Network)> = networks::table
        .inner_join(environments::table.inner_join(organizations::table))
        .filter(environments::id.eq_any(ids))
        .filter(environments::removed_at.is_null())
        .filter(networks::retired_at.is_null())
        .order(environments::id)
        .select((organizations::slug, environments::slug, Network::as_select()))
        .load(&mut connection)
        .await
        .map_err(failure::postgres)?;
    let named = rows.into_iter().map(|(organization, environment, network)| CheckedEnvironment {
        name: format!("{organization}/{environment}"),
        network,
    });
    Ok(named.collect())
}

/// Which of these checks have ended, or were never asked for: what their probes left behind can go. For workers.
pub async fn isolation_checks_over(
    database: &Database,
    ids: &[IsolationCheckId],
) -> Result<Vec<IsolationCheckId>> {
    #[derive(QueryableByName)]
    struct Over {
        #[diesel(sql_type = Uuid)]
        id: IsolationCheckId,
    }
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let mut connection = database.connection().await?;
    let over: Vec<Over> = diesel::sql_query(
        "SELECT asked.id FROM unnest($1) AS asked (id)
         LEFT JOIN isolation_checks c ON c.id = asked.id
         WHERE c.id IS NULL OR c.status = $2",
    )
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Text, _>(CheckStatus::Ended)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(over.into_iter().map(|one| one.id).collect())
}
