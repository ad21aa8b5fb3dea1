//! What a new deployment makes live: a new release, an older one, or the running one with another
//! number of replicas.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::app::App;
use model::id::ReleaseId;
use model::platform::Platform;
use model::policy::{self, Exceptions};
use model::release::Release;
use model::schema::{apps, releases};
use model::spec::{AppSpec, SPEC_VERSION};
use model::status::Status;
use model::stored::Stored;

use super::{DeploymentRequest, Superseded};
use crate::failure::Failure;
use crate::now::now;
use crate::prepared::Prepared;
use crate::releases::release_target;

/// What the new deployment makes live.
pub(super) struct Target {
    pub(super) release: Option<ReleaseId>,
    pub(super) number: Option<i32>,
    pub(super) replicas: i32,
    pub(super) spec_version: i16,
}

pub(super) async fn target_of(
    connection: &mut AsyncPgConnection,
    (platform, exceptions): (&Platform, Exceptions),
    app: &App,
    request: &DeploymentRequest,
    superseded: &[Superseded],
) -> Result<Target, Failure> {
    match request {
        DeploymentRequest::Deploy { image, .. } => {
            let spec = match image {
                Some(image) => AppSpec { image: image.clone(), ..app.spec.0.clone() },
                None => app.spec.0.clone(),
            };
            let frozen = spec.clone().frozen(platform);
            policy::admit(&frozen, exceptions)?;
            let number = app.last_release + 1;
            let update = diesel::update(apps::table.find(app.id)).set((
                apps::last_release.eq(number),
                apps::spec.eq(Stored(spec)),
                apps::updated_at.eq(now()),
            ));
            Prepared(update).execute(connection).await?;
            let release = ReleaseId::new();
            diesel::insert_into(releases::table)
                .values((
                    releases::id.eq(release),
                    releases::organization_id.eq(app.organization_id),
                    releases::app_id.eq(app.id),
                    releases::number.eq(number),
                    releases::spec.eq(Stored(frozen)),
                    releases::spec_version.eq(SPEC_VERSION),
                ))
                .execute(connection)
                .await?;
            Ok(Target {
                release: Some(release),
                number: Some(number),
                replicas: app.running_replicas(),
                spec_version: SPEC_VERSION,
            })
        }
        DeploymentRequest::Rollback { target, force } => {
            let release = release_target(connection, app, *target).await?;
            // Yesterday's spec has to pass today's policy.
            policy::admit(&release.spec.0, exceptions)?;
            if !force {
                refuse_live(connection, app, &release, superseded).await?;
            }
            Ok(target_release(&release, app.running_replicas()))
        }
        DeploymentRequest::Restart => {
            app.started()?;
            let release = deployed(connection, app, superseded).await?;
            Ok(target_release(&release, app.replicas))
        }
        DeploymentRequest::Scale { replicas } => {
            app.started()?;
            let release = deployed(connection, app, superseded).await?;
            diesel::update(apps::table.find(app.id))
                .set((apps::replicas.eq(replicas), apps::updated_at.eq(now())))
                .execute(connection)
                .await?;
            Ok(target_release(&release, *replicas))
        }
        DeploymentRequest::Stop => {
            let release = deployed(connection, app, superseded).await?;
            diesel::update(apps::table.find(app.id).filter(apps::stopped_at.is_null()))
                .set((apps::stopped_at.eq(now().nullable()), apps::updated_at.eq(now())))
                .execute(connection)
                .await?;
            Ok(target_release(&release, 0))
        }
        DeploymentRequest::Start => {
            let release = deployed(connection, app, superseded).await?;
            diesel::update(apps::table.find(app.id))
                .set((apps::stopped_at.eq(None::<DateTime<Utc>>), apps::updated_at.eq(now())))
                .execute(connection)
                .await?;
            Ok(target_release(&release, app.replicas))
        }
        DeploymentRequest::Remove => {
            diesel::update(apps::table.find(app.id))
                .set((apps::removal_requested_at.eq(now().nullable()), apps::updated_at.eq(now())))
                .execute(connection)
                .await?;
            // A removal first runs what is there with no replicas, so that it ends when every task
            // has, and not when Swarm has merely forgotten them.
            let release = running_release(connection, app, superseded).await?;
            Ok(release.map_or(
                Target { release: None, number: None, replicas: 0, spec_version: SPEC_VERSION },
                |release| target_release(&release, 0),
            ))
        }
    }
}

/// The release that the service runs; refused where nothing was deployed.
async fn deployed(
    connection: &mut AsyncPgConnection,
    app: &App,
    superseded: &[Superseded],
) -> Result<Release, Failure> {
    let release = running_release(connection, app, superseded).await?;
    release.ok_or_else(|| Failure::Refused(app.nothing_deployed()))
}

/// Refuses to roll back to the very spec that is live. While another release is on its way in, the live
/// one is a target like any other: that takes the rollout back.
async fn refuse_live(
    connection: &mut AsyncPgConnection,
    app: &App,
    release: &Release,
    superseded: &[Superseded],
) -> Result<(), Failure> {
    let Some(live) = app.live_release_id else { return Ok(()) };
    if superseded.iter().any(|older| older.release_id != Some(live)) {
        return Ok(());
    }
    let live = releases::table
        .find(live)
        .select(Release::as_select())
        .first::<Release>(connection)
        .await?;
    Ok(release.differs_from(&live)?)
}

fn target_release(release: &Release, replicas: i32) -> Target {
    Target {
        release: Some(release.id),
        number: Some(release.number),
        replicas,
        spec_version: release.spec_version,
    }
}

/// The release that the service runs: the one on its way in (scaling must not undo a deployment
/// that it supersedes), else the live one.
async fn running_release(
    connection: &mut AsyncPgConnection,
    app: &App,
    superseded: &[Superseded],
) -> Result<Option<Release>, Failure> {
    let coming = superseded
        .iter()
        .filter(|older| older.status != Status::RollingBack)
        .max_by_key(|older| older.id)
        .and_then(|older| older.release_id);
    let Some(id) = coming.or(app.live_release_id) else { return Ok(None) };
    let release = releases::table.find(id).select(Release::as_select()).first(connection).await?;
    Ok(Some(release))
}
