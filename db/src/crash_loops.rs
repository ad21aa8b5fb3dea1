//! Crash loops: which apps are slowed down, and until when. Workers write them, each by compare-and-set,
//! so that of two that see the same crash one slows the app down.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use model::Result;
use model::crash_loop::CrashLoop;
use model::id::{AppId, DeploymentId, OrganizationId};
use model::schema::crash_loops;

use crate::failure;
use crate::now::now;
use crate::pool::Database;

/// A new round of an app that keeps crashing.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// The app.
    pub app: AppId,
    /// Its tenant.
    pub organization: OrganizationId,
    /// The deployment that wrote its service.
    pub deployment: DeploymentId,
    /// Its number, from 1.
    pub number: i16,
    /// Replicas that are kept up.
    pub kept: i32,
    /// For how long.
    pub pause: Duration,
    /// What the others ended with.
    pub cause: &'a str,
}

/// Begins a round, if the one before it is the newest. `None`: another worker was faster.
pub async fn crash_loop_begin(database: &Database, round: Round<'_>) -> Result<Option<CrashLoop>> {
    let mut connection = database.connection().await?;
    let until = diesel::dsl::sql::<sql_types::Timestamptz>("now() + make_interval(secs => ")
        .bind::<sql_types::Double, _>(round.pause.as_secs_f64())
        .sql(")");
    if round.number == 1 {
        diesel::insert_into(crash_loops::table)
            .values((
                crash_loops::app_id.eq(round.app),
                crash_loops::organization_id.eq(round.organization),
                crash_loops::deployment_id.eq(round.deployment),
                crash_loops::rounds.eq(round.number),
                crash_loops::kept.eq(round.kept),
                crash_loops::resumes_at.eq(until),
                crash_loops::cause.eq(round.cause),
            ))
            .on_conflict_do_nothing()
            .returning(CrashLoop::as_returning())
            .get_result(&mut connection)
            .await
    } else {
        diesel::update(
            crash_loops::table
                .find(round.app)
                .filter(crash_loops::deployment_id.eq(round.deployment))
                .filter(crash_loops::rounds.eq(round.number - 1)),
        )
        .set((
            crash_loops::rounds.eq(round.number),
            crash_loops::kept.eq(round.kept),
            crash_loops::resumes_at.eq(until),
            crash_loops::recovered_at.eq(None::<chrono::DateTime<chrono::Utc>>),
            crash_loops::cause.eq(round.cause),
            crash_loops::updated_at.eq(now()),
        ))
        .returning(CrashLoop::as_returning())
        .get_result(&mut connection)
        .await
    }
    .optional()
    .map_err(failure::postgres)
}

/// Every replica ran through the window again after this round.
pub async fn crash_loop_recovered(database: &Database, known: &CrashLoop) -> Result<()> {
    let mut connection = database.connection().await?;
    diesel::update(
        crash_loops::table
            .find(known.app_id)
            .filter(crash_loops::deployment_id.eq(known.deployment_id))
            .filter(crash_loops::rounds.eq(known.rounds))
            .filter(crash_loops::recovered_at.is_null()),
    )
    .set(crash_loops::recovered_at.eq(now().nullable()))
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(())
}

/// It ended with this round, or a newer deployment has written the service. One that has gone on since
/// stays.
pub async fn crash_loop_forget(database: &Database, known: &CrashLoop) -> Result<()> {
    let mut connection = database.connection().await?;
    diesel::delete(
        crash_loops::table
            .find(known.app_id)
            .filter(crash_loops::deployment_id.eq(known.deployment_id))
            .filter(crash_loops::rounds.eq(known.rounds)),
    )
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(())
}
