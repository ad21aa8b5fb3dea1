//! Sealing: the one place where a tenant's value is in this process's hands.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::error::ErrorCode;
use model::schema::sealing_keys;
use model::{Error, Result};
use sealing::PublicKey;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::failure;

/// A value as it is stored.
pub(crate) struct SealedValue {
    pub(crate) key_id: String,
    pub(crate) bytes: i32,
    pub(crate) sealed: Vec<u8>,
}

/// Seals a value as that of the row of this identity, to the key that values are sealed to now.
pub(crate) async fn seal(
    connection: &mut AsyncPgConnection,
    identity: &str,
    value: &SecretSlice<u8>,
) -> Result<SealedValue> {
    let key: Option<(String, Vec<u8>)> = sealing_keys::table
        .filter(sealing_keys::is_current)
        .select((sealing_keys::id, sealing_keys::public_key))
        .first(connection)
        .await
        .optional()
        .map_err(failure::postgres)?;
    let Some((key_id, bytes)) = key else {
        let message = "this installation has no key to seal values to: its operator makes one with `worker bootstrap --sealing-keyring-file`";
        return Err(Error::new(ErrorCode::Unavailable, message));
    };
    let value = value.expose_secret();
    // Here and not on a thread of its own: a megabyte takes a millisecond or two.
    let sealed = PublicKey::from_bytes(&bytes)
        .and_then(|key| key.seal(identity.as_bytes(), value))
        .ok_or_else(|| Error::internal(format!("the public key {key_id} is none")))?;
    Ok(SealedValue {
        key_id,
        bytes: i32::try_from(value.len()).map_err(Error::internal)?,
        sealed: sealed.as_bytes().to_vec(),
    })
}
