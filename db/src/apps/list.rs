//! Apps in a list: what tells them apart, and how they do.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use model::Result;
use model::app_status::Health;
use model::id::AppId;
use model::policy::access::Action;

use super::environment_of;
use crate::failure;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::prepared::Prepared;
use crate::scope::EnvironmentScope;

/// An app as a list shows it. Neither the whole spec nor the tasks: fifty of them are most of what a page would
/// cost to read and to write.
#[derive(Debug, Clone, QueryableByName)]
pub struct AppSummary {
    /// Its id.
    #[diesel(sql_type = Uuid)]
    pub id: AppId,
    /// Its DNS name inside the environment's network.
    #[diesel(sql_type = Text)]
    pub slug: String,
    /// Image of its next release.
    #[diesel(sql_type = Text)]
    pub image: String,
    /// Replicas that should run.
    #[diesel(sql_type = Integer)]
    pub replicas: i32,
    /// Replicas that the last verdict was said of.
    #[diesel(sql_type = Nullable<Integer>)]
    pub live_replicas: Option<i32>,
    /// Since when it is stopped.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub stopped_at: Option<DateTime<Utc>>,
    /// When its removal was accepted.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub removal_requested_at: Option<DateTime<Utc>>,
    /// When it was made.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    #[diesel(sql_type = Timestamptz)]
    pub updated_at: DateTime<Utc>,
    /// Number of the release that the last verdict left live.
    #[diesel(sql_type = Nullable<Integer>)]
    pub live_release: Option<i32>,
    /// What a worker saw last.
    #[diesel(embed)]
    pub status: Option<StatusSummary>,
}

/// How an app did when it was seen last.
#[derive(Debug, Clone, QueryableByName)]
pub struct StatusSummary {
    /// How it does.
    #[diesel(sql_type = Text)]
    pub health: Health,
    /// Why it does not do better.
    #[diesel(sql_type = Nullable<Text>)]
    pub cause: Option<String>,
    /// Replicas that should run.
    #[diesel(sql_type = Integer)]
    pub desired: i32,
    /// Replicas that run, healthy where they have a health check.
    #[diesel(sql_type = Integer)]
    pub running: i32,
    /// Number of the release that was seen.
    #[diesel(sql_type = Nullable<Integer>)]
    pub seen_release: Option<i32>,
    /// Since when it does so.
    #[diesel(sql_type = Timestamptz)]
    pub since: DateTime<Utc>,
    /// When a worker looked last.
    #[diesel(sql_type = Timestamptz)]
    pub observed_at: DateTime<Utc>,
}

/// The page first, then what belongs to it: behind row security Postgres believes that hardly an app is left, and would
/// find the status of a whole environment before it cuts a page off.
const PAGE: &str = "WITH page AS (
         SELECT id, slug, spec ->> 'image' AS image, replicas, live_replicas, live_release_number AS live_release,
             stopped_at, removal_requested_at, created_at, updated_at
         FROM apps
         WHERE organization_id = $1 AND environment_id = $2 AND removed_at IS NULL AND id > $3
         ORDER BY id LIMIT $4
     )
     SELECT page.*, status.health, status.cause, status.desired, status.running, status.since, status.observed_at,
         status.release_number AS seen_release
     FROM page
     LEFT JOIN app_status AS status ON status.app_id = page.id
     ORDER BY page.id";

/// The apps of an environment, oldest first.
pub async fn app_list(
    database: &Database,
    scope: &EnvironmentScope,
    page: PageRequest,
) -> Result<Page<AppSummary>> {
    let organization = scope.organization.allowing(Action::AppRead)?;
    let mut connection = database.tenant(organization).await?;
    let environment = environment_of(&mut connection, organization, &scope.environment).await?;
    let after = page.after.map_or(uuid::Uuid::nil(), |cursor| cursor.0);
    let query = diesel::sql_query(PAGE)
        .bind::<Uuid, _>(organization)
        .bind::<Uuid, _>(environment.id)
        .bind::<Uuid, _>(after)
        .bind::<BigInt, _>(page.fetch());
    let rows = Prepared(query).load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |row: &AppSummary| row.id.as_uuid()))
}
