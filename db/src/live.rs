//! Apps as their last verdict left them, for whoever compares them with what runs.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use model::Result;
use model::app::App;
use model::crash_loop::CrashLoop;
use model::fingerprint::Fingerprint;
use model::id::{AppId, DeploymentId, OrganizationId, ReleaseId};
use model::network::Network;
use model::release::Release;
use model::schema::{apps, networks, releases};
use model::status::Status;
use model::stored::Stored;

use crate::failure;
use crate::now::now;
use crate::pool::Database;

/// An app, as far as it is compared with its service.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LiveApp {
    /// The app.
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: AppId,
    /// Its tenant.
    #[diesel(sql_type = sql_types::Uuid)]
    pub organization_id: OrganizationId,
    /// Its Swarm service's name.
    #[diesel(sql_type = sql_types::Text)]
    pub service_name: String,
    /// Whether it was removed.
    #[diesel(sql_type = sql_types::Bool)]
    pub removed: bool,
    /// The release that the last verdict left live.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>)]
    pub release_id: Option<ReleaseId>,
    /// Its number.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Integer>)]
    pub release: Option<i32>,
    /// The image that it runs.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub image: Option<String>,
    /// Seconds of its window.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Integer>)]
    pub window_seconds: Option<i32>,
    /// Whether Swarm restarts every task of it that ends.
    #[diesel(sql_type = sql_types::Bool)]
    pub restarts: bool,
    /// With this restart counter.
    #[diesel(sql_type = sql_types::BigInt)]
    pub restart_counter: i64,
    /// And this many replicas.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Integer>)]
    pub replicas: Option<i32>,
    /// At this version of the service.
    #[diesel(sql_type = sql_types::Nullable<sql_types::BigInt>)]
    pub version: Option<i64>,
    /// Its fingerprint at that version; `None`: an older version of Skep wrote none down.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Jsonb>)]
    pub fingerprint: Option<Stored<Fingerprint>>,
    /// Whether a deployment of it waits or is driven.
    #[diesel(sql_type = sql_types::Bool)]
    pub unfinished: bool,
    /// How its newest deployment stands.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub newest: Option<Status>,
    /// The deployment whose service is in a crash loop.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>)]
    pub crashing: Option<DeploymentId>,
    /// Rounds of its crash loop.
    #[diesel(sql_type = sql_types::Nullable<sql_types::SmallInt>)]
    pub rounds: Option<i16>,
    /// Replicas that are kept up while it is slowed down.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Integer>)]
    pub kept: Option<i32>,
    /// When all of them are tried again.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    pub resumes_at: Option<DateTime<Utc>>,
    /// When it had recovered.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    pub recovered_at: Option<DateTime<Utc>>,
    /// What it crashed of.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub cause: Option<String>,
}

impl LiveApp {
    /// Its crash loop, where it is in one or was until a while ago.
    pub fn crash_loop(&self) -> Option<CrashLoop> {
        Some(CrashLoop {
            app_id: self.id,
            organization_id: self.organization_id,
            deployment_id: self.crashing?,
            rounds: self.rounds?,
            kept: self.kept?,
            resumes_at: self.resumes_at?,
            recovered_at: self.recovered_at,
            cause: self.cause.clone()?,
        })
    }
}

/// What time it is by Postgres's clock, which all workers share.
pub async fn live_clock(database: &Database) -> Result<DateTime<Utc>> {
    let mut connection = database.connection().await?;
    diesel::select(now()).get_result(&mut connection).await.map_err(failure::postgres)
}

/// The apps of these ids, removed ones included.
pub async fn live_apps(database: &Database, ids: &[AppId]) -> Result<Vec<LiveApp>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT a.id, a.organization_id, a.service_name, a.removed_at IS NOT NULL AS removed,
             a.live_release_id AS release_id, r.number AS release, r.resolved_image AS image,
             (r.spec #>> '{update_policy,monitor_seconds}')::integer AS window_seconds,
             coalesce(r.spec #>> '{restart,condition}' = 'any', false) AS restarts,
             a.live_restart_counter AS restart_counter, a.live_replicas AS replicas,
             a.live_version AS version,
             CASE WHEN (a.live_fingerprint ->> 'version')::bigint = a.live_version
                 THEN a.live_fingerprint END AS fingerprint,
             EXISTS (SELECT FROM deployments WHERE app_id = a.id AND status = 'queued')
                 OR EXISTS (SELECT FROM deployments WHERE app_id = a.id AND status IN
                     ('provisioning', 'updating', 'verifying', 'rolling_back')) AS unfinished,
             d.status AS newest,
             c.deployment_id AS crashing, c.rounds, c.kept, c.resumes_at, c.recovered_at, c.cause
         FROM apps a
         LEFT JOIN releases r ON r.id = a.live_release_id
         LEFT JOIN crash_loops c ON c.app_id = a.id
         LEFT JOIN LATERAL (
             SELECT status FROM deployments WHERE app_id = a.id ORDER BY id DESC LIMIT 1) d ON true
         WHERE a.id = ANY($1)",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}

/// The apps that should have a service, or that have a status, and are none of these.
pub async fn live_apps_elsewhere(database: &Database, seen: &[AppId]) -> Result<Vec<AppId>> {
    let mut connection = database.connection().await?;
    let apps: Vec<Named> = diesel::sql_query(
        "SELECT a.id FROM apps a LEFT JOIN app_status s ON s.app_id = a.id
         WHERE (s.app_id IS NOT NULL OR (a.live_release_id IS NOT NULL AND a.removed_at IS NULL))
             AND NOT EXISTS (SELECT FROM unnest($1) AS seen (id) WHERE seen.id = a.id)",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(seen)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(apps.into_iter().map(|app| app.id).collect())
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = sql_types::Uuid)]
    id: AppId,
}

/// Those of some apps that are there no more.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// They were removed.
    pub removed: Vec<AppId>,
    /// Nothing knows them.
    pub unknown: Vec<AppId>,
}

/// Which of these apps are there no more.
pub async fn apps_gone(database: &Database, ids: &[AppId]) -> Result<Gone> {
    let mut connection = database.connection().await?;
    let rows: Vec<GoneApp> = diesel::sql_query(
        "SELECT seen.id, a.id IS NOT NULL AS removed
         FROM unnest($1) AS seen (id) LEFT JOIN apps a ON a.id = seen.id
         WHERE a.id IS NULL OR a.removed_at IS NOT NULL",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    let (removed, unknown): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.removed);
    let ids = |rows: Vec<GoneApp>| rows.into_iter().map(|row| row.id).collect();
    Ok(Gone { removed: ids(removed), unknown: ids(unknown) })
}

#[derive(QueryableByName)]
struct GoneApp {
    #[diesel(sql_type = sql_types::Uuid)]
    id: AppId,
    #[diesel(sql_type = sql_types::Bool)]
    removed: bool,
}

/// What an app's service is rendered from: the app, its live release, and its network. `None`: nothing
/// of it is live.
pub async fn live_work(database: &Database, id: AppId) -> Result<Option<(App, Release, Network)>> {
    let mut connection = database.connection().await?;
    apps::table
        .inner_join(releases::table.on(apps::live_release_id.eq(releases::id.nullable())))
        .inner_join(networks::table.on(
            networks::environment_id.eq(apps::environment_id).and(networks::retired_at.is_null()),
        ))
        .filter(apps::id.eq(id))
        .select((App::as_select(), Release::as_select(), Network::as_select()))
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)
}

/// Takes the service at this version for what the last verdict left, if nobody has told another one since.
pub async fn live_version_set(
    database: &Database,
    app: AppId,
    before: Option<i64>,
    now: &Fingerprint,
) -> Result<bool> {
    let mut connection = database.connection().await?;
    let set = diesel::update(
        apps::table
            .find(app)
            .filter(apps::live_version.is_not_distinct_from(before))
            .filter(apps::live_release_id.is_not_null()),
    )
    .set((apps::live_version.eq(now.version), apps::live_fingerprint.eq(Stored(now.clone()))))
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(set == 1)
}
