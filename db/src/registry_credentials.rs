//! Credentials for image registries. A secret comes in as a candidate, sealed; it becomes the organization's when its registry was asked.

pub mod opening;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::error::ErrorCode;
use model::id::{OrganizationId, RegistryCredentialId};
use model::policy::access::Action;
use model::registry_credential::{
    CredentialKind, CredentialStatus, MAX_CREDENTIALS, RegistryCredential, identity,
};
use model::schema::{registry_candidates, registry_credentials};
use model::{Error, Result};
use secrecy::SecretSlice;

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure, violates_foreign_key};
use crate::organizations::organization_lock;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::Request;
use crate::scope::OrgScope;
use crate::sealer::seal;
use crate::segment::Segment;

/// A credential that is asked for.
#[derive(Debug)]
pub struct NewCredential {
    /// The registry, as images name it.
    pub registry: String,
    /// What kind it is.
    pub kind: CredentialKind,
    /// Who logs in.
    pub username: Option<String>,
    /// A password, a token, or what the refresh command is given.
    pub secret: SecretSlice<u8>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a registry said of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// In a word.
    pub status: CredentialStatus,
    /// In its own words.
    pub answer: Option<String>,
}

/// Seals a credential, to be checked. Nothing uses it until it is taken.
pub async fn registry_candidate_create(
    database: &Database,
    scope: OrgScope,
    wanted: &NewCredential,
) -> Result<RegistryCredentialId> {
    let organization = scope.allowing(Action::RegistryCredentialManage)?;
    let mut connection = database.tenant(organization).await?;
    few_candidates(&mut connection, organization).await?;
    let identity = identity(organization, &wanted.registry);
    let sealed = seal(&mut connection, &identity, &wanted.secret).await?;
    let id = RegistryCredentialId::new();
    diesel::insert_into(registry_candidates::table)
        .values((
            registry_candidates::id.eq(id),
            registry_candidates::organization_id.eq(organization),
            registry_candidates::registry.eq(&wanted.registry),
            registry_candidates::kind.eq(wanted.kind),
            registry_candidates::username.eq(&wanted.username),
            registry_candidates::key_id.eq(&sealed.key_id),
            registry_candidates::sealed.eq(&sealed.sealed),
            registry_candidates::expires_at.eq(wanted.expires_at),
        ))
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(id)
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Nullable<Uuid>)]
    id: Option<RegistryCredentialId>,
}

/// Makes a candidate the organization's credential for its registry, in the place of the one before.
pub async fn registry_candidate_take(
    database: &Database,
    scope: OrgScope,
    (candidate, registry): (RegistryCredentialId, &str),
    checked: &Checked,
    request: &Request,
) -> Result<RegistryCredential> {
    let organization = scope.allowing(Action::RegistryCredentialManage)?;
    let mut connection = database.tenant(organization).await?;
    Ok(connection
        .transaction(async |connection| {
            // Two at once count one after the other.
            organization_lock(connection, organization).await?;
            few_enough(connection, organization, registry).await?;
            let taken = "SELECT registry_candidate_take($1, $2, $3, $4) AS id";
            let Taken { id } = diesel::sql_query(taken)
                .bind::<Uuid, _>(candidate)
                .bind::<Uuid, _>(organization)
                .bind::<Text, _>(checked.status)
                .bind::<Nullable<Text>, _>(&checked.answer)
                .get_result(connection)
                .await
                .map_err(|error| {
                    // Replaced while the registry was asked.
                    if violates_foreign_key(&error, "registry_credentials_key_id_fkey") {
                        Failure::KeyReplaced
                    } else {
                        Failure::from(error)
                    }
                })?;
            let id = id.ok_or_else(|| Error::not_found("registry credential"))?;
            let made: RegistryCredential = registry_credentials::table
                .find(id)
                .select(RegistryCredential::as_select())
                .first(connection)
                .await?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "registry_credential.set",
                object: id.to_string(),
                before: None,
                after: Some(audited(&made)),
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(made)
        })
        .await?)
}

/// Throws a candidate away.
pub async fn registry_candidate_drop(
    database: &Database,
    scope: OrgScope,
    candidate: RegistryCredentialId,
) -> Result<()> {
    let organization = scope.allowing(Action::RegistryCredentialManage)?;
    let mut connection = database.tenant(organization).await?;
    diesel::delete(registry_candidates::table.find(candidate))
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(())
}

/// The organization's credentials, oldest first.
pub async fn registry_credential_list(
    database: &Database,
    scope: OrgScope,
    page: PageRequest,
) -> Result<Page<RegistryCredential>> {
    let organization = scope.allowing(Action::RegistryCredentialRead)?;
    let mut connection = database.tenant(organization).await?;
    let mut query = registry_credentials::table
        .filter(registry_credentials::organization_id.eq(organization))
        .select(RegistryCredential::as_select())
        .order(registry_credentials::id)
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(registry_credentials::id.gt(RegistryCredentialId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |row: &RegistryCredential| row.id.as_uuid()))
}

/// One credential, by its id or its registry.
pub async fn registry_credential_get(
    database: &Database,
    scope: OrgScope,
    wanted: &Segment<RegistryCredentialId>,
) -> Result<RegistryCredential> {
    let organization = scope.allowing(Action::RegistryCredentialRead)?;
    let mut connection = database.tenant(organization).await?;
    find(&mut connection, organization, wanted)
        .await?
        .ok_or_else(|| Error::not_found("registry credential"))
}

/// Removes a credential. What runs keeps running; what needs it next is refused by the registry.
pub async fn registry_credential_delete(
    database: &Database,
    scope: OrgScope,
    wanted: &Segment<RegistryCredentialId>,
    request: &Request,
) -> Result<()> {
    let organization = scope.allowing(Action::RegistryCredentialManage)?;
    let mut connection = database.tenant(organization).await?;
    connection
        .transaction(async |connection| {
            let found = find(connection, organization, wanted).await?;
            let found = found.ok_or_else(|| Error::not_found("registry credential"))?;
            diesel::delete(registry_credentials::table.find(found.id)).execute(connection).await?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "registry_credential.delete",
                object: found.id.to_string(),
                before: Some(audited(&found)),
                after: None,
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

async fn find(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    wanted: &Segment<RegistryCredentialId>,
) -> Result<Option<RegistryCredential>> {
    let query = registry_credentials::table
        .filter(registry_credentials::organization_id.eq(organization))
        .select(RegistryCredential::as_select())
        .into_boxed();
    let found = match wanted {
        Segment::Id(id) => query.filter(registry_credentials::id.eq(*id)).first(connection).await,
        Segment::Slug(registry) => {
            query.filter(registry_credentials::registry.eq(registry)).first(connection).await
        }
    };
    found.optional().map_err(failure::postgres)
}

/// Each is a question to a registry that is under way, or was given up within the hour.
async fn few_candidates(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
) -> Result<()> {
    let there: i64 = registry_candidates::table
        .filter(registry_candidates::organization_id.eq(organization))
        .count()
        .get_result(connection)
        .await
        .map_err(failure::postgres)?;
    if there < MAX_CREDENTIALS {
        return Ok(());
    }
    let message = format!("{there} credentials are being checked: try again in a while");
    Err(Error::new(ErrorCode::TooMany, message))
}

async fn few_enough(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    registry: &str,
) -> Result<()> {
    let others: i64 = registry_credentials::table
        .filter(registry_credentials::organization_id.eq(organization))
        .filter(registry_credentials::registry.ne(registry))
        .count()
        .get_result(connection)
        .await
        .map_err(failure::postgres)?;
    if others < MAX_CREDENTIALS {
        return Ok(());
    }
    let message = format!(
        "there are credentials for {others} registries, and no more than {MAX_CREDENTIALS} may be: remove one"
    );
    Err(Error::new(ErrorCode::TooMany, message))
}

/// Never the secret, nor anything made of it.
fn audited(credential: &RegistryCredential) -> serde_json::Value {
    serde_json::json!({
        "registry": credential.registry,
        "kind": credential.kind,
        "username": credential.username,
        "version": credential.version,
    })
}
