//! What needs a secret: releases that are live, may be made live again or are on their way; and apps whose next release will have it.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Nullable, Text, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::error::ErrorCode;
use model::policy::access::Action;
use model::release::KEPT_RELEASES;
use model::secret::{Secret, SecretKind};
use model::{Error, Result};

use crate::failure::{self, Failure};
use crate::pool::Database;
use crate::scope::SecretScope;

/// Most uses that are told.
const MOST: i32 = 200;
/// Most that a refusal names.
const NAMED: usize = 5;

/// Something that needs a secret.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SecretUse {
    /// Slug of the app.
    #[diesel(sql_type = Text)]
    pub app: String,
    /// Number of its release; `None`: its next one.
    #[diesel(sql_type = Nullable<Integer>)]
    pub release: Option<i32>,
    /// Number of the version; `None`: the one that is the newest then.
    #[diesel(sql_type = Nullable<Integer>)]
    pub version: Option<i32>,
    /// Whether the release is live.
    #[diesel(sql_type = Bool)]
    pub live: bool,
}

/// What needs it, at most 200 of them.
pub async fn secret_uses(
    database: &Database,
    scope: &SecretScope,
    secret: &Secret,
) -> Result<Vec<SecretUse>> {
    let organization = scope.organization.allowing(Action::SecretRead)?;
    let mut connection = database.tenant(organization).await?;
    uses(&mut connection, secret).await.map_err(failure::postgres)
}

/// Refused while something needs it, and what is told.
pub(super) async fn refuse_uses(
    connection: &mut AsyncPgConnection,
    secret: &Secret,
) -> Result<(), Failure> {
    let uses = uses(connection, secret).await?;
    if uses.is_empty() {
        return Ok(());
    }
    let named = |found: &SecretUse| match found.release {
        Some(number) => format!("release v{number} of {}", found.app),
        None => format!("the next release of {}", found.app),
    };
    let mut names: Vec<String> = uses.iter().take(NAMED).map(named).collect();
    if uses.len() > NAMED {
        names.push(format!("{} more", uses.len() - NAMED));
    }
    let (kind, name) = (secret.kind, &secret.name);
    let message = format!(
        "the {kind} {name} is needed by {}: take it out of the apps; a release needs it no more when {KEPT_RELEASES} newer ones \
         of its app are there, or the app is removed",
        names.join(", ")
    );
    Err(Error::new(ErrorCode::InUse, message).into())
}

async fn uses(connection: &mut AsyncPgConnection, secret: &Secret) -> QueryResult<Vec<SecretUse>> {
    let list = match secret.kind {
        SecretKind::Secret => "secrets",
        SecretKind::Config => "configs",
    };
    let query = format!(
        "SELECT app, release, version, live FROM (
             SELECT a.slug AS app, r.number AS release, v.number AS version,
                 coalesce(r.id = a.live_release_id, false) AS live
             FROM secret_versions v
             JOIN release_secrets s ON s.secret_version_id = v.id
             JOIN releases r ON r.id = s.release_id
             JOIN apps a ON a.id = r.app_id
             WHERE v.secret_id = $1 AND a.removed_at IS NULL
                 AND (r.number > a.last_release - $3 OR r.id = a.live_release_id
                     OR EXISTS (SELECT FROM deployments d
                         WHERE d.app_id = a.id AND d.release_id = r.id AND d.finished_at IS NULL))
             UNION ALL
             SELECT a.slug, NULL, (reference ->> 'version')::integer, false
             FROM apps a, jsonb_array_elements(coalesce(a.spec -> '{list}', '[]')) AS reference
             WHERE a.environment_id = $2 AND a.removed_at IS NULL AND reference ->> 'name' = $4
         ) AS used ORDER BY live DESC, app, release DESC NULLS FIRST LIMIT $5"
    );
    diesel::sql_query(query)
        .bind::<Uuid, _>(secret.id)
        .bind::<Uuid, _>(secret.environment_id)
        .bind::<Integer, _>(KEPT_RELEASES)
        .bind::<Text, _>(&secret.name)
        .bind::<Integer, _>(MOST)
        .load(connection)
        .await
}
