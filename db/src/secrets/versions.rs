//! Versions: a new one is sealed, and what runs with the newest one is deployed with it, all in one transaction.

use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::error::ErrorCode;
use model::id::{EnvironmentId, SecretVersionId};
use model::platform::Platform;
use model::policy::access::Action;
use model::schema::{secret_versions, secrets};
use model::secret::{Secret, SecretKind, SecretVersion, identity};
use model::{Error, Result};
use secrecy::{ExposeSecret as _, SecretSlice};

use super::pinning::Tries;
use super::{audited, secret_find};
use crate::audit::Mutation;
use crate::deployments::DeploymentRow;
use crate::deployments::refresh::{Refreshed, deployments_refresh};
use crate::failure::{self, Failure, violates_foreign_key};
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::SecretScope;
use crate::sealer::{SealedValue, seal};

/// Most versions of a secret that have a value. Those that nothing needs lose theirs an hour after a newer one was made.
const MAX_VERSIONS: i64 = 100;

/// The class of the advisory locks of [`environment_turn`].
const TURNS: i32 = 0x5ec;

/// A version that is asked for.
#[derive(Debug)]
pub struct NewVersion {
    /// Its value.
    pub value: SecretSlice<u8>,
    /// Whether what runs with the newest version is deployed with this one.
    pub deploy: bool,
}

/// An app that runs with the newest version, and could not be deployed with the new one.
#[derive(Debug)]
pub struct NotDeployed {
    /// Its slug.
    pub app: String,
    /// Why.
    pub error: Error,
}

/// A version that was made, and what follows from it.
#[derive(Debug)]
pub struct VersionMade {
    /// The version.
    pub version: SecretVersion,
    /// The slugs of the apps that are deployed with it, and their deployments.
    pub deployments: Vec<(String, DeploymentRow)>,
    /// The apps that are not.
    pub not_deployed: Vec<NotDeployed>,
}

/// Makes a version.
pub async fn secret_version_create(
    database: &Database,
    platform: &Platform,
    (scope, kind): (&SecretScope, SecretKind),
    wanted: &NewVersion,
    request: &Request,
    answer: impl Fn(VersionMade) -> Result<Answer> + Sync,
) -> Result<Answered> {
    if wanted.deploy {
        scope.organization.allowing(Action::AppDeploy)?;
    }
    kind.check_value(wanted.value.expose_secret().len())?;
    let mut tries = Tries::new();
    let outcome = loop {
        let (at, what) = ((scope, kind), (wanted, &tries));
        let outcome = version_create(database, platform, at, what, request, &answer).await;
        if !tries.again(&outcome) {
            break outcome;
        }
    };
    request.settle(database, outcome).await
}

async fn version_create(
    database: &Database,
    platform: &Platform,
    (scope, kind): (&SecretScope, SecretKind),
    (wanted, tries): (&NewVersion, &Tries),
    request: &Request,
    answer: &(impl Fn(VersionMade) -> Result<Answer> + Sync),
) -> Result<Answered, Failure> {
    let organization = scope.organization.allowing(Action::SecretManage)?;
    let policy = (platform, scope.organization.exceptions());
    let mut connection = database.tenant(organization).await?;
    let (secret, _) = secret_find(&mut connection, scope, kind, Action::SecretManage).await?;
    let id = SecretVersionId::new();
    let sealed =
        seal(&mut connection, &identity(organization, secret.id, id), &wanted.value).await?;
    connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            // One after the other in an environment: each waits for the apps of the others' secrets, too.
            environment_turn(connection, secret.environment_id).await?;
            tries.hold(connection).await?;
            // Locks it: who is about to mount it with an older version comes before, or tries again.
            let secret: Option<Secret> = diesel::update(
                secrets::table.find(secret.id).filter(secrets::removed_at.is_null()),
            )
            .set((
                secrets::last_version.eq(secrets::last_version + 1),
                secrets::updated_at.eq(now()),
            ))
            .returning(Secret::as_returning())
            .get_result(connection)
            .await
            .optional()?;
            let secret = secret.ok_or_else(|| Error::not_found(kind.as_str()))?;
            few_enough(connection, &secret).await?;
            let version =
                version_insert(connection, &secret, (id, secret.last_version), &sealed).await?;
            let refreshed = match wanted.deploy {
                true => deployments_refresh(connection, policy, &secret, &request.actor).await?,
                false => Vec::new(),
            };
            let mutation = Mutation {
                organization: Some(organization),
                action: "secret.version",
                object: secret.id.to_string(),
                before: None,
                after: Some(audited(&secret, Some(&version))),
                deployment: None,
            };
            let (mut deployments, mut not_deployed) = (Vec::new(), Vec::new());
            for Refreshed { app, outcome } in refreshed {
                match outcome {
                    Ok(row) => deployments.push((app.slug, row)),
                    Err(error) => not_deployed.push(NotDeployed { app: app.slug, error }),
                }
            }
            let made = VersionMade { version, deployments, not_deployed };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await
}

/// The versions, newest first, those whose value was thrown away included.
pub async fn secret_version_list(
    database: &Database,
    (scope, kind): (&SecretScope, SecretKind),
    page: PageRequest,
) -> Result<Page<SecretVersion>> {
    let organization = scope.organization.allowing(Action::SecretRead)?;
    let mut connection = database.tenant(organization).await?;
    let (secret, _) = secret_find(&mut connection, scope, kind, Action::SecretRead).await?;
    let mut query = secret_versions::table
        .filter(secret_versions::secret_id.eq(secret.id))
        .select(SecretVersion::as_select())
        .order(secret_versions::id.desc())
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(secret_versions::id.lt(SecretVersionId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |version: &SecretVersion| version.id.as_uuid()))
}

pub(super) async fn version_insert(
    connection: &mut AsyncPgConnection,
    secret: &Secret,
    (id, number): (SecretVersionId, i32),
    sealed: &SealedValue,
) -> Result<SecretVersion, Failure> {
    diesel::insert_into(secret_versions::table)
        .values((
            secret_versions::id.eq(id),
            secret_versions::organization_id.eq(secret.organization_id),
            secret_versions::secret_id.eq(secret.id),
            secret_versions::number.eq(number),
            secret_versions::bytes.eq(sealed.bytes),
            secret_versions::key_id.eq(&sealed.key_id),
            secret_versions::sealed.eq(&sealed.sealed),
        ))
        .returning(SecretVersion::as_returning())
        .get_result(connection)
        .await
        .map_err(|error| {
            if violates_foreign_key(&error, "secret_versions_key_id_fkey") {
                Failure::KeyReplaced
            } else {
                Failure::from(error)
            }
        })
}

/// Waits for its turn among those who make secrets of the environment, or give them new versions; it ends with the transaction.
pub(super) async fn environment_turn(
    connection: &mut AsyncPgConnection,
    environment: EnvironmentId,
) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1, hashtext($2))")
        .bind::<Integer, _>(TURNS)
        .bind::<Text, _>(environment.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

async fn few_enough(connection: &mut AsyncPgConnection, secret: &Secret) -> Result<(), Failure> {
    let there: i64 = secret_versions::table
        .filter(secret_versions::secret_id.eq(secret.id))
        .filter(secret_versions::collected_at.is_null())
        .count()
        .get_result(connection)
        .await?;
    if there < MAX_VERSIONS {
        return Ok(());
    }
    let message = format!(
        "there are {there} versions that have a value, and no more than {MAX_VERSIONS} may be: those that no release needs lose \
         theirs an hour after a newer one was made"
    );
    Err(Error::new(ErrorCode::TooMany, message).into())
}
