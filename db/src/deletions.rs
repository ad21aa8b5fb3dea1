//! Deletions: an organization ends after a time of grace, in which that can be taken back. Then a worker has its
//! apps removed as anybody would, takes its networks out of the swarm, and has Postgres erase what was its own.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text, Uuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use model::error::ErrorCode;
use model::id::{AppId, EnvironmentId, OrganizationId};
use model::organization::Organization;
use model::policy::access::Action;
use model::schema::organizations;
use model::{Error, Result};

use crate::audit::Mutation;
use crate::failure::{self, Failure};
use crate::now::now;
use crate::organizations::organization_lock;
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::OrgScope;

/// Has an organization end after `grace`; `None`: takes that back, while its clean-up has not begun. One that is to
/// end already keeps its time.
pub async fn organization_delete(
    database: &Database,
    scope: OrgScope,
    grace: Option<TimeDelta>,
    request: &Request,
    answer: impl Fn(Organization) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let id = scope.allowing(Action::OrganizationDelete)?;
    let mut connection = database.tenant(id).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let before = organization_lock(connection, id).await?;
            // The clock that workers begin by.
            let clock: DateTime<Utc> = diesel::select(now()).get_result(connection).await?;
            let has_begun = before.delete_after.is_some_and(|time| time <= clock);
            if has_begun && grace.is_none() {
                let message =
                    "the organization's time of grace is over, and its clean-up has begun";
                return Err(Error::new(ErrorCode::BeingRemoved, message).into());
            }
            let delete_after = grace.map(|grace| before.delete_after.unwrap_or(clock + grace));
            let after: Organization = diesel::update(organizations::table.find(id))
                .set((
                    organizations::delete_after.eq(delete_after),
                    organizations::updated_at.eq(now()),
                ))
                .returning(Organization::as_returning())
                .get_result(connection)
                .await?;
            let mutation = Mutation {
                organization: Some(id),
                action: match grace {
                    Some(_) => "organization.delete",
                    None => "organization.restore",
                },
                object: id.to_string(),
                before: Some(serde_json::json!({ "delete_after": before.delete_after })),
                after: Some(serde_json::json!({ "delete_after": after.delete_after })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(after)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// An organization whose time of grace is over, and what is left of it in the swarm.
#[derive(Debug, Clone, QueryableByName)]
pub struct Ending {
    /// Which.
    #[diesel(sql_type = Uuid)]
    pub id: OrganizationId,
    /// Its apps that nobody is at work removing, nor was within the last minute.
    #[diesel(sql_type = Array<Uuid>)]
    pub apps: Vec<AppId>,
    /// The environment of each.
    #[diesel(sql_type = Array<Uuid>)]
    pub environments: Vec<EnvironmentId>,
    /// Whether any app is left, being removed or not.
    #[diesel(sql_type = Bool)]
    pub has_apps: bool,
    /// Names of its networks.
    #[diesel(sql_type = Array<Text>)]
    pub networks: Vec<String>,
}

/// At most `limit` organizations that have to end: by chance, so that those which cannot yet keep none of the others
/// waiting. For workers.
pub async fn endings_due(database: &Database, limit: i64) -> Result<Vec<Ending>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT o.id,
             coalesce(a.ids, '{}') AS apps, coalesce(a.environments, '{}') AS environments,
             EXISTS (SELECT FROM apps WHERE organization_id = o.id AND removed_at IS NULL) AS has_apps,
             ARRAY(SELECT name FROM networks WHERE organization_id = o.id) AS networks
         FROM organizations o
         LEFT JOIN LATERAL (
             SELECT array_agg(id) AS ids, array_agg(environment_id) AS environments
             FROM apps
             WHERE organization_id = o.id AND removed_at IS NULL AND removal_requested_at IS NULL
                 AND NOT EXISTS (SELECT FROM deployments d WHERE d.app_id = apps.id AND d.kind = 'remove'
                     AND d.finished_at > now() - interval '1 minute')
         ) a ON true
         WHERE o.delete_after <= now() AND o.deleted_at IS NULL
         ORDER BY random() LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}

#[derive(QueryableByName)]
struct Erased {
    #[diesel(sql_type = Bool)]
    erased: bool,
}

/// Erases what was an organization's. False: an app of it is left, or another worker was faster. For workers.
pub async fn organization_erase(database: &Database, id: OrganizationId) -> Result<bool> {
    let mut connection = database.connection().await?;
    let answer: Erased = diesel::sql_query("SELECT organization_erase($1) AS erased")
        .bind::<Uuid, _>(id)
        .get_result(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(answer.erased)
}
