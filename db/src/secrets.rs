//! Secrets and configs of environments. A value comes in here, is sealed at once, and cannot be had again: an API's role may not even
//! read what it sealed. What workers do with them is in [`delivery`] and [`keeping`].

pub mod delivery;
pub mod keeping;
pub(crate) mod pinning;
mod uses;
mod versions;

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::error::{ErrorCode, Violation};
use model::id::{EnvironmentId, SecretId, SecretVersionId};
use model::policy::access::Action;
use model::schema::{environments, secret_versions, secrets};
use model::secret::{
    MAX_ROTATION_DAYS, MAX_SECRETS, Secret, SecretKind, SecretName, SecretVersion, identity,
};
use model::{Error, Result};
use secrecy::{ExposeSecret as _, SecretSlice};

pub use uses::{SecretUse, secret_uses};
pub use versions::{
    NewVersion, NotDeployed, VersionMade, secret_version_create, secret_version_list,
};

use crate::audit::{Mutation, audit_insert};
use crate::environments::environment_hold;
use crate::failure::{self, Failure, violates_unique};
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::{EnvironmentScope, SecretScope, named};
use crate::sealer::seal;
use crate::segment::Segment;
use pinning::Tries;
use versions::{environment_turn, version_insert};

/// A secret with its newest version.
pub type SecretRow = (Secret, SecretVersion);

/// A secret that is asked for.
#[derive(Debug)]
pub struct NewSecret {
    /// A secret or a config.
    pub kind: SecretKind,
    /// Its name.
    pub name: SecretName,
    /// How many days a version of it may be old.
    pub rotation_days: Option<i32>,
    /// The value of its first version.
    pub value: SecretSlice<u8>,
}

/// Makes a secret with its first version.
pub async fn secret_create(
    database: &Database,
    scope: &EnvironmentScope,
    wanted: &NewSecret,
    request: &Request,
    answer: impl Fn(SecretRow) -> Result<Answer> + Sync,
) -> Result<Answered> {
    wanted.kind.check_value(wanted.value.expose_secret().len())?;
    check_rotation(wanted.rotation_days)?;
    let mut tries = Tries::new();
    let outcome = loop {
        let outcome = create(database, scope, wanted, request, &answer).await;
        if !tries.again(&outcome) {
            break outcome;
        }
    };
    request.settle(database, outcome).await
}

async fn create(
    database: &Database,
    scope: &EnvironmentScope,
    wanted: &NewSecret,
    request: &Request,
    answer: &(impl Fn(SecretRow) -> Result<Answer> + Sync),
) -> Result<Answered, Failure> {
    let organization = scope.organization.allowing(Action::SecretManage)?;
    let NewSecret { kind, name, rotation_days, value } = wanted;
    let (id, version) = (SecretId::new(), SecretVersionId::new());
    let mut connection = database.tenant(organization).await?;
    let sealed = seal(&mut connection, &identity(organization, id, version), value).await?;
    connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            let environment =
                environment_hold(connection, organization, &scope.environment).await?;
            // Two at once count one after the other.
            environment_turn(connection, environment.id).await?;
            few_enough(connection, environment.id, *kind).await?;
            let secret = diesel::insert_into(secrets::table)
                .values((
                    secrets::id.eq(id),
                    secrets::organization_id.eq(organization),
                    secrets::environment_id.eq(environment.id),
                    secrets::kind.eq(kind),
                    secrets::name.eq(name.as_str()),
                    secrets::rotation_days.eq(rotation_days),
                ))
                .returning(Secret::as_returning())
                .get_result(connection)
                .await
                .map_err(|error| taken(error, *kind, name))?;
            let made = version_insert(connection, &secret, (version, 1), &sealed).await?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "secret.create",
                object: id.to_string(),
                before: None,
                after: Some(audited(&secret, Some(&made))),
                deployment: None,
            };
            request.finish(connection, mutation, answer((secret, made))?).await
        })
        .await
}

/// The environment's secrets, or its configs, oldest first.
pub async fn secret_list(
    database: &Database,
    scope: &EnvironmentScope,
    kind: SecretKind,
    page: PageRequest,
) -> Result<Page<SecretRow>> {
    let organization = scope.organization.allowing(Action::SecretRead)?;
    let mut connection = database.tenant(organization).await?;
    let environment = environments::table
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .select(environments::id)
        .into_boxed();
    let environment: Option<EnvironmentId> = named!(environment, environments, &scope.environment)
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?;
    let environment = environment.ok_or_else(|| Error::not_found("environment"))?;
    let mut query = with_newest!()
        .filter(secrets::environment_id.eq(environment))
        .filter(secrets::kind.eq(kind))
        .filter(secrets::removed_at.is_null())
        .order(secrets::id)
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(secrets::id.gt(SecretId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |(secret, _): &SecretRow| secret.id.as_uuid()))
}

/// A secret, or a config, with its newest version.
pub async fn secret_get(
    database: &Database,
    scope: &SecretScope,
    kind: SecretKind,
) -> Result<SecretRow> {
    let organization = scope.organization.allowing(Action::SecretRead)?;
    let mut connection = database.tenant(organization).await?;
    secret_find(&mut connection, scope, kind, Action::SecretRead).await
}

/// Changes how old a version of it may be (`Some(None)`: as old as it likes); `None`: changes nothing.
pub async fn secret_update(
    database: &Database,
    scope: &SecretScope,
    kind: SecretKind,
    rotation_days: Option<Option<i32>>,
    request: &Request,
) -> Result<SecretRow> {
    let organization = scope.organization.allowing(Action::SecretManage)?;
    check_rotation(rotation_days.flatten())?;
    let mut connection = database.tenant(organization).await?;
    Ok(connection
        .transaction(async |connection| {
            let (before, version) =
                secret_find(connection, scope, kind, Action::SecretManage).await?;
            let rotation_days = rotation_days.unwrap_or(before.rotation_days);
            let after: Option<Secret> = diesel::update(
                secrets::table.find(before.id).filter(secrets::removed_at.is_null()),
            )
            .set((secrets::rotation_days.eq(rotation_days), secrets::updated_at.eq(now())))
            .returning(Secret::as_returning())
            .get_result(connection)
            .await
            .optional()?;
            let after = after.ok_or_else(|| Error::not_found(kind.as_str()))?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "secret.update",
                object: after.id.to_string(),
                before: Some(audited(&before, None)),
                after: Some(audited(&after, None)),
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>((after, version))
        })
        .await?)
}

/// Removes a secret that nothing needs: no release that may still be made live, and no app's next one. Its values go soon after.
pub async fn secret_delete(
    database: &Database,
    scope: &SecretScope,
    kind: SecretKind,
    request: &Request,
) -> Result<()> {
    let organization = scope.organization.allowing(Action::SecretManage)?;
    let mut connection = database.tenant(organization).await?;
    connection
        .transaction(async |connection| {
            let (found, _) = secret_find(connection, scope, kind, Action::SecretManage).await?;
            // Whoever is about to mount it holds it; from here on nobody begins to.
            let secret = secret_lock(connection, found.id).await?;
            let secret = secret.ok_or_else(|| Error::not_found(kind.as_str()))?;
            uses::refuse_uses(connection, &secret).await?;
            diesel::update(secrets::table.find(secret.id))
                .set((secrets::removed_at.eq(now().nullable()), secrets::updated_at.eq(now())))
                .execute(connection)
                .await?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "secret.delete",
                object: secret.id.to_string(),
                before: Some(audited(&secret, None)),
                after: None,
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

/// Removes all of an environment's: it is removed itself, and has no app.
pub(crate) async fn secrets_remove(
    connection: &mut AsyncPgConnection,
    environment: EnvironmentId,
) -> QueryResult<()> {
    diesel::update(
        secrets::table
            .filter(secrets::environment_id.eq(environment))
            .filter(secrets::removed_at.is_null()),
    )
    .set((secrets::removed_at.eq(now().nullable()), secrets::updated_at.eq(now())))
    .execute(connection)
    .await?;
    Ok(())
}

/// Secrets, each beside its newest version.
macro_rules! with_newest {
    () => {
        secrets::table
            .inner_join(
                secret_versions::table.on(secret_versions::secret_id
                    .eq(secrets::id)
                    .and(secret_versions::number.eq(secrets::last_version))),
            )
            .select((Secret::as_select(), SecretVersion::as_select()))
    };
}
use with_newest;

async fn secret_find(
    connection: &mut AsyncPgConnection,
    scope: &SecretScope,
    kind: SecretKind,
    action: Action,
) -> Result<SecretRow> {
    let organization = scope.organization.allowing(action)?;
    let environment = environments::table
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .select(environments::id)
        .into_boxed();
    let environment = named!(environment, environments, &scope.environment);
    let query = with_newest!()
        .filter(secrets::organization_id.eq(organization))
        .filter(secrets::environment_id.eq_any(environment))
        .filter(secrets::kind.eq(kind))
        .filter(secrets::removed_at.is_null())
        .into_boxed();
    let found = match &scope.secret {
        Segment::Id(id) => query.filter(secrets::id.eq(*id)).first(connection).await,
        Segment::Slug(name) => query.filter(secrets::name.eq(name)).first(connection).await,
    };
    let found = found.optional().map_err(failure::postgres)?;
    found.ok_or_else(|| Error::not_found(kind.as_str()))
}

/// Locks it against everybody, those who are about to mount it included; `None`: it was removed.
async fn secret_lock(
    connection: &mut AsyncPgConnection,
    id: SecretId,
) -> QueryResult<Option<Secret>> {
    secrets::table
        .find(id)
        .filter(secrets::removed_at.is_null())
        .select(Secret::as_select())
        .for_update()
        .first(connection)
        .await
        .optional()
}

async fn few_enough(
    connection: &mut AsyncPgConnection,
    environment: EnvironmentId,
    kind: SecretKind,
) -> Result<(), Failure> {
    let there: i64 = secrets::table
        .filter(secrets::environment_id.eq(environment))
        .filter(secrets::kind.eq(kind))
        .filter(secrets::removed_at.is_null())
        .count()
        .get_result(connection)
        .await?;
    if there < MAX_SECRETS {
        return Ok(());
    }
    let what = kind.plural();
    let message = format!(
        "there are {there} {what} in the environment, and no more than {MAX_SECRETS} may be: remove one"
    );
    Err(Error::new(ErrorCode::TooMany, message).into())
}

fn check_rotation(days: Option<i32>) -> Result<()> {
    if days.is_none_or(|days| (1..=MAX_ROTATION_DAYS).contains(&days)) {
        return Ok(());
    }
    let rule = format!("from 1 to {MAX_ROTATION_DAYS} days");
    Err(Error::invalid(vec![Violation::new("rotation_days", rule)]))
}

fn taken(error: diesel::result::Error, kind: SecretKind, name: &SecretName) -> Failure {
    if !violates_unique(&error, "secrets_name") {
        return Failure::from(error);
    }
    let message = format!(
        "a {kind} {name} exists in this environment: give it a new version, or choose another name"
    );
    Failure::Refused(Error::new(ErrorCode::AlreadyExists, message))
}

/// What the audit log keeps: never the value, nor anything made of it.
fn audited(secret: &Secret, version: Option<&SecretVersion>) -> serde_json::Value {
    serde_json::json!({
        "kind": secret.kind,
        "name": secret.name,
        "rotation_days": secret.rotation_days,
        "version": version.map(|version| version.number),
    })
}
