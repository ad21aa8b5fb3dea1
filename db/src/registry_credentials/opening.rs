//! What workers need of credentials: sealed, to be opened; and what the refresh command makes of them. Never handed to a tenant.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use model::Result;
use model::id::{OrganizationId, RegistryCredentialId};
use model::registry_credential::{CredentialKind, identity};
use model::schema::registry_credentials;
use secrecy::SecretSlice;

use crate::failure;
use crate::now::now;
use crate::pool::Database;
use crate::sealer::seal;

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
    #[diesel(sql_type = Integer)]
    pub version: i32,
    /// What it is sealed to.
    #[diesel(sql_type = Text)]
    pub key_id: String,
    /// The sealed secret.
    #[diesel(sql_type = Binary)]
    pub sealed: Vec<u8>,
    /// What the refresh command gave is sealed to this.
    #[diesel(sql_type = Nullable<Text>)]
    pub issued_key_id: Option<String>,
    /// What it gave, sealed.
    #[diesel(sql_type = Nullable<Binary>)]
    pub issued_sealed: Option<Vec<u8>>,
    /// When that ends.
    #[diesel(sql_type = Nullable<Timestamptz>)]
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
         FROM registry_credentials WHERE (key_id <> $1 OR issued_key_id <> $1) AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind::<Text, _>(key_id)
    .bind::<Nullable<Uuid>, _>(after)
    .bind::<BigInt, _>(limit)
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
        registry_credentials::updated_at.eq(now()),
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
            // A rotation of keys has not been here meanwhile, either.
            .filter(registry_credentials::key_id.eq(&before.key_id))
            .filter(registry_credentials::version.eq(before.version)),
    )
    .set((
        registry_credentials::version.eq(registry_credentials::version + 1),
        registry_credentials::issued_key_id.eq(&sealed.key_id),
        registry_credentials::issued_sealed.eq(&sealed.sealed),
        registry_credentials::expires_at.eq(expires_at),
        registry_credentials::updated_at.eq(now()),
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
    .bind::<BigInt, _>(limit)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}
