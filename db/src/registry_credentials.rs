//! Credentials for image registries. A secret comes in as a candidate, sealed; it becomes the organization's when its registry was asked.

use std::collections::HashMap;

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
use crate::failure::{self, Failure};
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
    few_enough(&mut connection, organization, &wanted.registry).await?;
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
    candidate: RegistryCredentialId,
    checked: &Checked,
    request: &Request,
) -> Result<RegistryCredential> {
    let organization = scope.allowing(Action::RegistryCredentialManage)?;
    let mut connection = database.tenant(organization).await?;
    Ok(connection
        .transaction(async |connection| {
            let taken = "SELECT registry_candidate_take($1, $2, $3, $4) AS id";
            let Taken { id } = diesel::sql_query(taken)
                .bind::<Uuid, _>(candidate)
                .bind::<Uuid, _>(organization)
                .bind::<Text, _>(checked.status)
                .bind::<Nullable<Text>, _>(&checked.answer)
                .get_result(connection)
                .await?;
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

/// A credential as it is stored, for who opens it.
#[derive(Debug, Queryable, QueryableByName)]
pub struct SealedCredential {
    /// Its id.
    #[diesel(sql_type = Uuid)]
    pub id: RegistryCredentialId,
    /// Whose.
    #[diesel(sql_type = Uuid)]
    pub organization_id: OrganizationId,
    /// For which registry.
    #[diesel(sql_type = Text)]
    pub registry: String,
    /// What kind it is.
    #[diesel(sql_type = Text)]
    pub kind: CredentialKind,
    /// Who logs in.
    #[diesel(sql_type = Nullable<Text>)]
    pub username: Option<String>,
    /// Its version; 0: a candidate.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub version: i32,
    /// What it is sealed to.
    #[diesel(sql_type = Text)]
    pub key_id: String,
    /// The sealed secret.
    #[diesel(sql_type = diesel::sql_types::Binary)]
    pub sealed: Vec<u8>,
    /// What the refresh command gave is sealed to this.
    #[diesel(sql_type = Nullable<Text>)]
    pub issued_key_id: Option<String>,
    /// What it gave, sealed.
    #[diesel(sql_type = Nullable<diesel::sql_types::Binary>)]
    pub issued_sealed: Option<Vec<u8>>,
    /// When that ends.
    #[diesel(sql_type = Nullable<diesel::sql_types::Timestamptz>)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A candidate, or a credential, of this id. For workers.
pub async fn credential_sealed(
    database: &Database,
    id: RegistryCredentialId,
) -> Result<Option<SealedCredential>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT id, organization_id, registry, kind, username, 0 AS version, key_id, sealed,
             NULL::text AS issued_key_id, NULL::bytea AS issued_sealed, NULL::timestamptz AS expires_at
         FROM registry_candidates WHERE id = $1
         UNION ALL
         SELECT id, organization_id, registry, kind, username, version, key_id, sealed, issued_key_id, issued_sealed, expires_at
         FROM registry_credentials WHERE id = $1
         LIMIT 1",
    )
    .bind::<Uuid, _>(id)
    .get_result(&mut connection)
    .await
    .optional()
    .map_err(failure::postgres)
}

/// The organization's credential for a registry. For workers.
pub async fn credential_for(
    database: &Database,
    organization: OrganizationId,
    registry: &str,
) -> Result<Option<SealedCredential>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT id, organization_id, registry, kind, username, version, key_id, sealed, issued_key_id, issued_sealed, expires_at
         FROM registry_credentials WHERE organization_id = $1 AND registry = $2",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Text, _>(registry)
    .get_result(&mut connection)
    .await
    .optional()
    .map_err(failure::postgres)
}

/// Throws candidates away that nobody took within an hour. Answers how many.
pub async fn candidates_purge(database: &Database) -> Result<usize> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "DELETE FROM registry_candidates WHERE created_at < now() - interval '1 hour'",
    )
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)
}

/// At most `limit` credentials that are sealed to another key than this one, in the order of their ids, from after this one on.
pub async fn credentials_sealed_otherwise(
    database: &Database,
    key_id: &str,
    after: Option<RegistryCredentialId>,
    limit: i64,
) -> Result<Vec<SealedCredential>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT id, organization_id, registry, kind, username, version, key_id, sealed, issued_key_id, issued_sealed, expires_at
         FROM registry_credentials WHERE key_id <> $1 AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind::<Text, _>(key_id)
    .bind::<Nullable<Uuid>, _>(after)
    .bind::<diesel::sql_types::BigInt, _>(limit)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}

/// Puts a secret that is sealed to `key_id` in the place of the same one that was sealed to another. False: it was replaced, or
/// sealed anew already.
pub async fn credential_resealed(
    database: &Database,
    before: &SealedCredential,
    key_id: &str,
    sealed: &[u8],
) -> Result<bool> {
    let mut connection = database.connection().await?;
    let changed = diesel::update(
        registry_credentials::table
            .find(before.id)
            .filter(registry_credentials::key_id.eq(&before.key_id))
            .filter(registry_credentials::version.eq(before.version)),
    )
    .set((
        registry_credentials::key_id.eq(key_id),
        registry_credentials::sealed.eq(sealed),
        // Made anew when it is needed.
        registry_credentials::issued_key_id.eq(None::<String>),
        registry_credentials::issued_sealed.eq(None::<Vec<u8>>),
        registry_credentials::updated_at.eq(crate::now::now()),
    ))
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(changed == 1)
}

/// The versions that these credentials have now; what was removed is not among them. For workers.
pub async fn credential_versions(
    database: &Database,
    ids: &[RegistryCredentialId],
) -> Result<HashMap<RegistryCredentialId, i32>> {
    let mut connection = database.connection().await?;
    let found: Vec<(RegistryCredentialId, i32)> = registry_credentials::table
        .filter(registry_credentials::id.eq_any(ids))
        .select((registry_credentials::id, registry_credentials::version))
        .load(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(found.into_iter().collect())
}

/// Keeps what the refresh command has made of a credential, sealed. Answers its version; `None`: the credential was replaced meanwhile.
pub async fn credential_issued(
    database: &Database,
    before: &SealedCredential,
    issued: &SecretSlice<u8>,
    expires_at: DateTime<Utc>,
) -> Result<Option<i32>> {
    let mut connection = database.connection().await?;
    let identity = identity(before.organization_id, &before.registry);
    let sealed = seal(&mut connection, &identity, issued).await?;
    diesel::update(
        registry_credentials::table
            .find(before.id)
            .filter(registry_credentials::version.eq(before.version)),
    )
    .set((
        registry_credentials::version.eq(registry_credentials::version + 1),
        registry_credentials::issued_key_id.eq(&sealed.key_id),
        registry_credentials::issued_sealed.eq(&sealed.sealed),
        registry_credentials::expires_at.eq(expires_at),
        registry_credentials::updated_at.eq(crate::now::now()),
    ))
    .returning(registry_credentials::version)
    .get_result(&mut connection)
    .await
    .optional()
    .map_err(failure::postgres)
}

/// At most `limit` short-lived credentials of which nothing is made that lasts for another ten minutes. For workers.
pub async fn credentials_ending(database: &Database, limit: i64) -> Result<Vec<SealedCredential>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT id, organization_id, registry, kind, username, version, key_id, sealed, issued_key_id, issued_sealed, expires_at
         FROM registry_credentials
         WHERE kind = 'short_lived' AND (issued_sealed IS NULL OR expires_at < now() + interval '10 minutes')
         ORDER BY random() LIMIT $1",
    )
    .bind::<diesel::sql_types::BigInt, _>(limit)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}
