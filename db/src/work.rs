//! What a worker needs to know to drive a deployment: read in one query when it takes it up, and
//! never handed to a tenant.

use diesel::alias;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use model::Result;
use model::app::App;
use model::deployment::Deployment;
use model::fingerprint::Fingerprint;
use model::id::{DeploymentId, ReleaseId};
use model::network::Network;
use model::release::Release;
use model::schema::{apps, deployments, networks, releases};
use model::stored::Stored;

use crate::failure;
use crate::now::now;
use crate::pool::Database;

/// A deployment with everything around it.
#[derive(Debug, Clone)]
pub struct Work {
    /// As it was when it was read; its status moves on.
    pub deployment: Deployment,
    /// Its app.
    pub app: App,
    /// The release to make live; `None` for a removal.
    pub release: Option<Release>,
    /// The release that is live, or was before this deployment began.
    pub live: Option<Release>,
    /// By what the service that the last verdict left is told; `None`: an older version of Skep wrote none down.
    pub fingerprint: Option<Fingerprint>,
    /// The network of the app's environment.
    pub network: Network,
}

/// Reads a deployment's work.
pub async fn work_read(database: &Database, id: DeploymentId) -> Result<Work> {
    let mut connection = database.connection().await?;
    let live_releases = alias!(releases as live_releases);
    type Row =
        (Deployment, App, Option<Release>, Option<Release>, Network, Option<Stored<Fingerprint>>);
    let (deployment, app, release, live, network, left): Row = deployments::table
        .inner_join(
            apps::table
                .inner_join(
                    networks::table.on(networks::environment_id
                        .eq(apps::environment_id)
                        .and(networks::retired_at.is_null())),
                )
                .left_join(
                    live_releases
                        .on(live_releases.field(releases::id).nullable().eq(apps::live_release_id)),
                ),
        )
        .left_join(releases::table)
        .filter(deployments::id.eq(id))
        .select((
            Deployment::as_select(),
            App::as_select(),
            Option::<Release>::as_select(),
            live_releases.fields(releases::all_columns).nullable(),
            Network::as_select(),
            apps::live_fingerprint,
        ))
        .first(&mut connection)
        .await
        .map_err(failure::postgres)?;
    let fingerprint =
        left.map(|Stored(left)| left).filter(|left| Some(left.version) == app.live_version);
    Ok(Work { deployment, app, release, live, fingerprint, network })
}

/// Writes down which image a release runs. Once: a second worker that resolved the same release
/// gets what the first one wrote.
pub async fn release_resolve(
    database: &Database,
    release: ReleaseId,
    resolved_image: &str,
) -> Result<Release> {
    let mut connection = database.connection().await?;
    diesel::update(releases::table.find(release).filter(releases::resolved_image.is_null()))
        .set((releases::resolved_image.eq(resolved_image), releases::updated_at.eq(now())))
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    releases::table
        .find(release)
        .select(Release::as_select())
        .first(&mut connection)
        .await
        .map_err(failure::postgres)
}
