//! Idempotency keys: the same request, sent again, finds the deployment that the first one led to.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::Error;
use model::deployment::Deployment;
use model::error::ErrorCode;
use model::id::{DeploymentId, TokenId};
use model::schema::{deployments, idempotency_keys, releases};

use crate::deployments::DeploymentRow;
use crate::failure::Failure;

/// What makes a repeated request the same request.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// Method and path.
    pub route: String,
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the body.
    pub request_hash: [u8; 32],
}

/// Takes the key for this request. `Some`: an earlier request had it, and this is its deployment.
pub(super) async fn key_claim(
    connection: &mut AsyncPgConnection,
    token: TokenId,
    key: &IdempotencyKey,
    id: DeploymentId,
) -> Result<Option<DeploymentRow>, Failure> {
    // Waits for a transaction in progress that holds the same key, and then sees its row.
    let taken = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::token_id.eq(token),
            idempotency_keys::route.eq(&key.route),
            idempotency_keys::key.eq(&key.key),
            idempotency_keys::request_hash.eq(key.request_hash.as_slice()),
            idempotency_keys::deployment_id.eq(id),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    if taken == 1 {
        return Ok(None);
    }
    let (hash, earlier): (Vec<u8>, DeploymentId) = idempotency_keys::table
        .find((token, &key.route, &key.key))
        .select((idempotency_keys::request_hash, idempotency_keys::deployment_id))
        .first(connection)
        .await?;
    if hash != key.request_hash {
        return Err(Failure::Refused(Error::new(
            ErrorCode::IdempotencyKeyReused,
            "this Idempotency-Key came before with another body; use a new key for a new request",
        )));
    }
    let row = deployments::table
        .left_join(releases::table)
        .filter(deployments::id.eq(earlier))
        .select((Deployment::as_select(), releases::number.nullable()))
        .first(connection)
        .await?;
    Ok(Some(row))
}
