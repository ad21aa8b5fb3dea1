//! What a new deployment makes live: a new release, an older one, or the running one with another
//! number of replicas.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Jsonb, Nullable, SmallInt, Text, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::Error;
use model::app::App;
use model::capacity::Need;
use model::error::ErrorCode;
use model::id::ReleaseId;
use model::platform::Platform;
use model::policy::{self, Exceptions};
use model::release::Release;
use model::schema::{apps, releases};
use model::secret::MountedRef;
use model::spec::AppSpec;
use model::status::Status;
use model::stored::Stored;

use super::{DeploymentRequest, Superseded};
use crate::failure::Failure;
use crate::now::now;
use crate::prepared::Prepared;
use crate::releases::release_target;
use crate::secrets::pinning::secrets_pin;

/// What the new deployment makes live.
pub(in crate::deployments) struct Target {
    pub(in crate::deployments) release: Option<ReleaseId>,
    pub(in crate::deployments) number: Option<i32>,
    pub(in crate::deployments) replicas: i32,
    pub(in crate::deployments) spec_version: i16,
    /// What it may need.
    pub(in crate::deployments) need: Need,
    /// The secrets and configs that it mounts, for the audit log: `secrets.db-password v3`.
    pub(in crate::deployments) mounted: Vec<String>,
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
            let draft = Some(spec);
            release_new(connection, exceptions, app, NewRelease { draft, frozen, image: None })
                .await
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
        DeploymentRequest::Stop { why } => {
            if why.is_some() {
                app.started()?;
                refuse_busy(superseded)?;
            }
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
            Ok(Target {
                release: release.as_ref().map(|release| release.id),
                number: release.as_ref().map(|release| release.number),
                replicas: 0,
                spec_version: release.map_or(1, |release| release.spec_version),
                need: Need::NONE,
                mounted: Vec::new(),
            })
        }
    }
}

/// A release that is to be made.
pub(in crate::deployments) struct NewRelease {
    /// What the app's next release will be from now on; `None`: what it was to be.
    pub(in crate::deployments) draft: Option<AppSpec>,
    /// What the release has, but for the versions of what it mounts.
    pub(in crate::deployments) frozen: AppSpec,
    /// What its image is known to be.
    pub(in crate::deployments) image: Option<String>,
}

/// Makes a release, with the secrets and configs that it mounts, to be made live.
pub(in crate::deployments) async fn release_new(
    connection: &mut AsyncPgConnection,
    exceptions: Exceptions,
    app: &App,
    new: NewRelease,
) -> Result<Target, Failure> {
    let NewRelease { draft, mut frozen, image } = new;
    policy::admit(&frozen, exceptions)?;
    let versions = secrets_pin(connection, app.environment_id, &mut frozen).await?;
    let release = ReleaseId::new();
    let number = app.last_release + 1;
    let target = Target {
        release: Some(release),
        number: Some(number),
        replicas: app.running_replicas(),
        spec_version: frozen.version(),
        need: Need::of(&frozen, app.running_replicas()),
        mounted: mounted(&frozen),
    };
    let draft = draft.unwrap_or_else(|| app.spec.0.clone());
    let draft_version = draft.version();
    let query = diesel::sql_query(
        "WITH app AS (
             UPDATE apps SET last_release = $4, spec = $5, spec_version = $10, updated_at = now() WHERE id = $3
         ), release AS (
             INSERT INTO releases (id, organization_id, app_id, number, spec, spec_version, resolved_image)
             VALUES ($1, $2, $3, $4, $6, $7, $8)
         )
         INSERT INTO release_secrets (release_id, secret_version_id, organization_id)
         SELECT DISTINCT $1, version, $2 FROM unnest($9) AS version",
    )
    .bind::<Uuid, _>(release)
    .bind::<Uuid, _>(app.organization_id)
    .bind::<Uuid, _>(app.id)
    .bind::<Integer, _>(number)
    .bind::<Jsonb, _>(Stored(draft))
    .bind::<Jsonb, _>(Stored(frozen))
    .bind::<SmallInt, _>(target.spec_version)
    .bind::<Nullable<Text>, _>(image)
    .bind::<Array<Uuid>, _>(versions)
    .bind::<SmallInt, _>(draft_version);
    Prepared(query).execute(connection).await?;
    Ok(target)
}

/// What a spec mounts, for the audit log.
fn mounted(spec: &AppSpec) -> Vec<String> {
    let file = |file: MountedRef<'_>| match file.reference.version {
        Some(version) => format!("{} v{version}", file.field()),
        None => file.field(),
    };
    spec.mounted().map(file).collect()
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

/// The platform takes the place of nothing that somebody asked for.
fn refuse_busy(superseded: &[Superseded]) -> Result<(), Failure> {
    if superseded.is_empty() {
        return Ok(());
    }
    let message = "a deployment of the app is under way";
    Err(Error::new(ErrorCode::InUse, message).into())
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
        need: Need::of(&release.spec.0, replicas),
        mounted: mounted(&release.spec.0),
    }
}

/// The release that the service runs: the one on its way in (scaling must not undo a deployment
/// that it supersedes), else the live one.
pub(in crate::deployments) async fn running_release(
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
