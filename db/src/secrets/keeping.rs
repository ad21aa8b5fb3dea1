//! Keeping house: values that nothing needs any more are thrown away, owners are told of secrets that are too old, and what is sealed
//! to an old key is sealed to the new one. For workers; none of it is urgent, and all of it can be done twice.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::audit::{AuditEntry, AuditResult};
use model::id::{AuditId, OrganizationId, SecretId, SecretVersionId};
use model::release::KEPT_RELEASES;
use model::secret::SecretKind;
use model::{Result, schema};

use crate::audit::entry_insert;
use crate::failure::{self, Failure};
use crate::pool::Database;

/// Who told of an old secret, in the audit log.
const KEEPING: &str = "keeping";

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Uuid)]
    id: SecretId,
}

/// Throws away the values that no release needs: of versions an hour after a newer one was made, and of secrets that were removed.
/// Looks at no more than `limit` secrets; answers how many values went.
pub async fn versions_collect(database: &Database, limit: i64) -> Result<usize> {
    let mut connection = database.connection().await?;
    connection
        .transaction(async |connection| {
            // Whoever is about to mount one has its secret locked. Only what is asked for after the lock has been got is sure.
            let locked: Vec<Locked> = diesel::sql_query(
                "SELECT s.id FROM secrets s
                 WHERE EXISTS (SELECT FROM secret_versions v WHERE v.secret_id = s.id AND v.sealed IS NOT NULL
                         AND (s.removed_at IS NOT NULL OR v.number < s.last_version)
                         AND NOT secret_version_needed(v.id, $1)
                         AND NOT EXISTS (SELECT FROM apps a
                             WHERE a.environment_id = s.environment_id AND a.removed_at IS NULL
                                 AND a.spec -> (s.kind || 's') @> jsonb_build_array(
                                     jsonb_build_object('name', s.name, 'version', v.number))))
                     AND (s.removed_at IS NOT NULL OR (SELECT created_at FROM secret_versions v
                         WHERE v.secret_id = s.id AND v.number = s.last_version) < now() - interval '1 hour')
                 ORDER BY random() LIMIT $2 FOR UPDATE OF s SKIP LOCKED",
            )
            .bind::<Integer, _>(KEPT_RELEASES)
            .bind::<BigInt, _>(limit)
            .load(connection)
            .await?;
            let ids: Vec<SecretId> = locked.into_iter().map(|locked| locked.id).collect();
            let collected = diesel::sql_query(
                "UPDATE secret_versions v SET sealed = NULL, key_id = NULL, collected_at = now(), updated_at = now()
                 FROM secrets s
                 WHERE s.id = ANY ($1) AND v.secret_id = s.id AND v.sealed IS NOT NULL
                     AND (s.removed_at IS NOT NULL OR v.number < s.last_version)
                     AND NOT secret_version_needed(v.id, $2)
                     AND NOT EXISTS (
                         SELECT FROM apps a
                         WHERE a.environment_id = s.environment_id AND a.removed_at IS NULL
                             AND a.spec -> (s.kind || 's') @> jsonb_build_array(
                                 jsonb_build_object('name', s.name, 'version', v.number)))",
            )
            .bind::<Array<Uuid>, _>(ids)
            .bind::<Integer, _>(KEPT_RELEASES)
            .execute(connection)
            .await?;
            Ok::<_, Failure>(collected)
        })
        .await
        .map_err(Into::into)
}

#[derive(QueryableByName)]
struct Unneeded {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Which of these names in Swarm belong to no version that has a value. A name is written down before its object is made, so one
/// that is not known here never will be.
pub async fn swarm_names_unneeded(database: &Database, names: &[String]) -> Result<Vec<String>> {
    let mut connection = database.connection().await?;
    let found: Vec<Unneeded> = diesel::sql_query(
        "SELECT named.name FROM unnest($1) AS named (name)
         WHERE NOT EXISTS (SELECT FROM secret_versions v WHERE v.swarm_name = named.name AND v.sealed IS NOT NULL)",
    )
    .bind::<Array<Text>, _>(names)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(found.into_iter().map(|unneeded| unneeded.name).collect())
}

#[derive(QueryableByName)]
struct Overdue {
    #[diesel(sql_type = Uuid)]
    id: SecretId,
    #[diesel(sql_type = Uuid)]
    organization_id: OrganizationId,
    #[diesel(sql_type = Text)]
    kind: SecretKind,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Timestamptz)]
    due_at: DateTime<Utc>,
}

/// Tells the owners of secrets whose newest version is older than they wished, once of each version: an event in the audit log.
/// At most `limit`; answers how many.
pub async fn rotations_tell(database: &Database, limit: i64) -> Result<usize> {
    let mut connection = database.connection().await?;
    connection
        .transaction(async |connection| {
            let overdue: Vec<Overdue> = diesel::sql_query(
                "UPDATE secrets s SET told_version = s.last_version, updated_at = now()
                 FROM (
                     SELECT s.id, v.created_at + make_interval(days => s.rotation_days) AS due_at
                     FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.number = s.last_version
                     WHERE s.rotation_days IS NOT NULL AND s.removed_at IS NULL AND s.told_version < s.last_version
                         AND v.created_at + make_interval(days => s.rotation_days) <= now()
                     ORDER BY s.id LIMIT $1 FOR NO KEY UPDATE OF s SKIP LOCKED
                 ) AS due
                 WHERE s.id = due.id
                 RETURNING s.id, s.organization_id, s.kind, s.name, s.last_version AS version, due.due_at",
            )
            .bind::<BigInt, _>(limit)
            .load(connection)
            .await?;
            for due in &overdue {
                tell(connection, due).await?;
            }
            Ok::<_, Failure>(overdue.len())
        })
        .await
        .map_err(Into::into)
}

async fn tell(connection: &mut AsyncPgConnection, due: &Overdue) -> QueryResult<()> {
    let entry = AuditEntry {
        id: AuditId::new(),
        organization_id: Some(due.organization_id),
        token_id: None,
        user_id: None,
        action: "secret.rotation_due".to_owned(),
        object: due.id.to_string(),
        before: None,
        after: Some(serde_json::json!({
            "kind": due.kind, "name": due.name, "version": due.version, "due_at": due.due_at,
        })),
        request_id: KEEPING.to_owned(),
        address: None,
        result: AuditResult::Done,
    };
    entry_insert(connection, &entry).await
}

/// A sealed value, and whose it is.
#[derive(Debug, QueryableByName)]
pub struct SealedVersion {
    /// Its version.
    #[diesel(sql_type = Uuid)]
    pub id: SecretVersionId,
    /// Of what.
    #[diesel(sql_type = Uuid)]
    pub secret_id: SecretId,
    /// Whose.
    #[diesel(sql_type = Uuid)]
    pub organization_id: OrganizationId,
    /// What it is sealed to.
    #[diesel(sql_type = Text)]
    pub key_id: String,
    /// The sealed value.
    #[diesel(sql_type = Binary)]
    pub sealed: Vec<u8>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many values are sealed.
pub async fn values_sealed(database: &Database) -> Result<u64> {
    let mut connection = database.connection().await?;
    let counted = "SELECT (SELECT count(*) FROM secret_versions WHERE sealed IS NOT NULL)
        + (SELECT count(*) FROM registry_credentials) AS count";
    let Count { count } =
        diesel::sql_query(counted).get_result(&mut connection).await.map_err(failure::postgres)?;
    Ok(count.unsigned_abs())
}

/// At most `limit` values that are sealed to another key than this one, in the order of their ids, from after this one on.
pub async fn versions_sealed_otherwise(
    database: &Database,
    key_id: &str,
    after: Option<SecretVersionId>,
    limit: i64,
) -> Result<Vec<SealedVersion>> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "SELECT id, secret_id, organization_id, key_id, sealed FROM secret_versions
         WHERE sealed IS NOT NULL AND key_id <> $1 AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3",
    )
    .bind::<Text, _>(key_id)
    .bind::<Nullable<Uuid>, _>(after)
    .bind::<BigInt, _>(limit)
    .load(&mut connection)
    .await
    .map_err(failure::postgres)
}

/// Puts a value that is sealed to `key_id` in the place of the same one that was sealed to another. False: it is gone, or was
/// sealed anew already.
pub async fn version_resealed(
    database: &Database,
    before: &SealedVersion,
    key_id: &str,
    sealed: &[u8],
) -> Result<bool> {
    use schema::secret_versions::dsl;
    let mut connection = database.connection().await?;
    let changed = diesel::update(
        dsl::secret_versions
            .find(before.id)
            .filter(dsl::key_id.eq(&before.key_id))
            .filter(dsl::sealed.is_not_null()),
    )
    .set((dsl::key_id.eq(key_id), dsl::sealed.eq(sealed), dsl::updated_at.eq(crate::now::now())))
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(changed == 1)
}
