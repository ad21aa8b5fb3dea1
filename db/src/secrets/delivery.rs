//! What workers need to bring a release's secrets and configs into Swarm. Never handed to a tenant.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use model::Result;
use model::audit::{AuditEntry, AuditResult};
use model::id::{
    AuditId, DeploymentId, EnvironmentId, OrganizationId, ReleaseId, SecretId, SecretVersionId,
};
use model::schema::{release_secrets, secret_versions, secrets};
use model::secret::SecretKind;

use crate::audit::entry_insert;
use crate::failure;
use crate::now::now;
use crate::pool::Database;

/// Who opened a value, in the audit log: no request did.
const DELIVERY: &str = "delivery";

/// A version that a release mounts.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct MountedVersion {
    /// Its id.
    pub id: SecretVersionId,
    /// Its number.
    pub number: i32,
    /// Its name in Swarm; `None`: no worker has brought it there yet.
    pub swarm_name: Option<String>,
    /// Of what.
    pub secret_id: SecretId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// Its environment.
    pub environment_id: EnvironmentId,
    /// A secret or a config.
    pub kind: SecretKind,
    /// Name of the secret.
    pub name: String,
}

/// A sealed value.
#[derive(Debug, QueryableByName)]
pub struct SealedRow {
    /// What it is sealed to; `None`: it was thrown away.
    #[diesel(sql_type = Nullable<Text>)]
    pub key_id: Option<String>,
    /// `None`: it was thrown away.
    #[diesel(sql_type = Nullable<Binary>)]
    pub sealed: Option<Vec<u8>>,
}

/// The versions that a release mounts.
pub async fn versions_mounted(
    database: &Database,
    release: ReleaseId,
) -> Result<Vec<MountedVersion>> {
    let mut connection = database.connection().await?;
    release_secrets::table
        .inner_join(secret_versions::table.inner_join(secrets::table))
        .filter(release_secrets::release_id.eq(release))
        .order(secret_versions::id)
        .select((
            secret_versions::id,
            secret_versions::number,
            secret_versions::swarm_name,
            secret_versions::secret_id,
            secret_versions::organization_id,
            secrets::environment_id,
            secrets::kind,
            secrets::name,
        ))
        .load(&mut connection)
        .await
        .map_err(failure::postgres)
}

/// A sealed value.
pub async fn version_sealed(database: &Database, version: SecretVersionId) -> Result<SealedRow> {
    let mut connection = database.connection().await?;
    diesel::sql_query("SELECT key_id, sealed FROM secret_versions WHERE id = $1")
        .bind::<Uuid, _>(version)
        .get_result(&mut connection)
        .await
        .map_err(failure::postgres)
}

/// Writes down that a value was opened, for this deployment: before it is used.
pub async fn version_opened(
    database: &Database,
    version: &MountedVersion,
    deployment: DeploymentId,
) -> Result<()> {
    let mut connection = database.connection().await?;
    let after = serde_json::json!({
        "kind": version.kind, "name": version.name, "version": version.number, "deployment": deployment,
    });
    let entry = AuditEntry {
        id: AuditId::new(),
        organization_id: Some(version.organization_id),
        token_id: None,
        user_id: None,
        action: "secret.open".to_owned(),
        object: version.secret_id.to_string(),
        before: None,
        after: Some(after),
        request_id: DELIVERY.to_owned(),
        address: None,
        result: AuditResult::Done,
    };
    entry_insert(&mut connection, &entry).await.map_err(failure::postgres)
}

/// Writes down a version's name in Swarm, once: a worker that comes second gets what the first one wrote.
pub async fn version_named(
    database: &Database,
    version: SecretVersionId,
    name: &str,
) -> Result<String> {
    let mut connection = database.connection().await?;
    let named: Option<String> = diesel::update(secret_versions::table.find(version))
        .set((
            secret_versions::swarm_name.eq(diesel::dsl::sql::<Nullable<Text>>(
                "coalesce(swarm_name, ",
            )
            .bind::<Text, _>(name)
            .sql(")")),
            secret_versions::updated_at.eq(now()),
        ))
        .returning(secret_versions::swarm_name)
        .get_result(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(named.unwrap_or_else(|| name.to_owned()))
}
