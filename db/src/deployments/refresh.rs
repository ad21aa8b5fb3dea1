//! Accepting what follows from a secret's new version: each app that runs with its newest version runs what it runs with the new one.
//! What the app's owner has changed of it since, and not deployed, stays undeployed.

use diesel::prelude::*;
use diesel::sql_types::Uuid;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::Result;
use model::app::App;
use model::deployment::Kind;
use model::id::{AppId, DeploymentId, NetworkId};
use model::platform::Platform;
use model::policy::Exceptions;
use model::release::Release;
use model::schema::{apps, networks};
use model::secret::Secret;

use super::DeploymentRow;
use super::accept::target::{NewRelease, release_new, running_release};
use super::accept::{ACCEPTED, Asked, attempt, audited, supersede, unfinished};
use crate::audit::audit_insert;
use crate::failure::Failure;
use crate::scope::Actor;

/// What became of an app that runs with the secret.
pub(crate) struct Refreshed {
    pub(crate) app: App,
    /// Its deployment, or why there is none: the version is there all the same.
    pub(crate) outcome: Result<DeploymentRow>,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Uuid)]
    id: AppId,
}

/// Accepts a deployment of each app that follows the secret's versions. The transaction has the secret locked, and no app.
pub(crate) async fn deployments_refresh(
    connection: &mut AsyncPgConnection,
    (platform, exceptions): (&Platform, Exceptions),
    secret: &Secret,
    actor: &Actor,
) -> Result<Vec<Refreshed>, Failure> {
    let found: Vec<Found> = diesel::sql_query(
        "SELECT a.id FROM apps a
         WHERE a.environment_id = $2 AND a.removal_requested_at IS NULL AND a.removed_at IS NULL
             AND EXISTS (
                 SELECT FROM secret_versions v JOIN release_secrets s ON s.secret_version_id = v.id
                 WHERE v.secret_id = $1 AND (s.release_id = a.live_release_id OR EXISTS (
                     SELECT FROM deployments d
                     WHERE d.app_id = a.id AND d.finished_at IS NULL AND d.release_id = s.release_id)))",
    )
    .bind::<Uuid, _>(secret.id)
    .bind::<Uuid, _>(secret.environment_id)
    .load(connection)
    .await?;
    let ids = found.into_iter().map(|found| found.id);
    // All of them before anything else is locked, and in one order: others who accept have an app first, and then what it needs.
    let apps: Vec<App> = apps::table
        .filter(apps::id.eq_any(ids.collect::<Vec<_>>()))
        .filter(apps::removal_requested_at.is_null())
        .order(apps::id)
        .select(App::as_select())
        .for_no_key_update()
        .load(connection)
        .await?;
    // The network before anything is counted towards quotas, as everybody has it: the first app may need no more of it, and the next one may.
    let _: Vec<NetworkId> = networks::table
        .filter(networks::environment_id.eq(secret.environment_id))
        .filter(networks::retired_at.is_null())
        .select(networks::id)
        .for_no_key_update()
        .load(connection)
        .await?;
    let mut refreshed = Vec::new();
    for app in apps {
        let policy = (platform, exceptions);
        let one = async |connection: &mut AsyncPgConnection| {
            refresh(connection, policy, secret, actor, &app).await
        };
        // A savepoint: what one app is refused is not the others' trouble.
        let outcome = match connection.transaction(one).await {
            Ok(None) => continue,
            Ok(Some(row)) => Ok(row),
            Err(Failure::Refused(error)) => Err(error),
            Err(failure) => return Err(failure),
        };
        refreshed.push(Refreshed { app, outcome });
    }
    Ok(refreshed)
}

/// `None`: what the app runs has a version of its owner's choice.
async fn refresh(
    connection: &mut AsyncPgConnection,
    (platform, exceptions): (&Platform, Exceptions),
    secret: &Secret,
    actor: &Actor,
    app: &App,
) -> Result<Option<DeploymentRow>, Failure> {
    let unfinished = unfinished(connection, app).await?;
    let running = running_release(connection, app, &unfinished).await?;
    let Some(release) = running.filter(|release| follows(release, secret)) else {
        return Ok(None);
    };
    let id = DeploymentId::new();
    let superseded = supersede(connection, app, id).await?;
    let mut frozen = release.spec.0.frozen(platform);
    let of_secret = |kind, name: &str| kind == secret.kind && name == secret.name;
    for (kind, reference) in frozen.references_mut() {
        if of_secret(kind, &reference.name) && reference.follows {
            reference.version = None;
        }
    }
    let new = NewRelease { draft: None, frozen, image: release.resolved_image };
    let target = release_new(connection, exceptions, app, new).await?;
    let asked = Asked {
        id,
        kind: Kind::Deploy,
        force: false,
        by: actor.credential.token(),
        message: ACCEPTED.to_owned(),
    };
    let row = attempt(connection, app, &superseded, &target, asked).await?;
    let mutation = audited(app, "app.deploy", &row, &target);
    audit_insert(connection, actor, mutation).await?;
    Ok(Some(row))
}

fn follows(release: &Release, secret: &Secret) -> bool {
    release.spec.0.mounted().any(|file| {
        file.kind == secret.kind && file.reference.name == secret.name && file.reference.follows
    })
}
