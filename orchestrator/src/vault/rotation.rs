//! Rotation of the key that values are sealed to, while everything serves: first new values are sealed to the new one, then each old
//! value is opened and sealed anew. It can be interrupted anywhere and begun again.

use db::Database;
use db::registry_credentials::opening::{credential_resealed, credentials_sealed_otherwise};
use db::sealing_keys::{sealing_key_replace, sealing_keys_forget, sealing_keys_old};
use db::secrets::keeping::{values_sealed, version_resealed, versions_sealed_otherwise};
use model::{Error, Result, registry_credential, secret};
use sealing::{KeyId, Keyring, Sealed, Unopened};
use secrecy::ExposeSecret as _;

/// Most values that are read at once.
const BATCH: i64 = 50;

/// Most passes: each finds what was sealed to an old key during the one before.
const PASSES: u32 = 20;

/// What a rotation came to.
#[derive(Debug)]
pub struct Rotated {
    /// The key that everything is sealed to.
    pub key: KeyId,
    /// Values that were sealed anew.
    pub resealed: u64,
    /// Keys that nothing is sealed to any more.
    pub forgotten: Vec<String>,
    /// Old keys that something is sealed to still.
    pub left: Vec<String>,
    /// Values that no key of the keyring opens, by the ids of their rows: they stay as they are.
    pub unopened: Vec<(String, Unopened)>,
}

/// Seals everything to the keyring's first key. `progress` is told how many values are done, and how many there are.
pub async fn rotate(
    database: &Database,
    ring: &Keyring,
    mut progress: impl FnMut(u64, u64),
) -> Result<Rotated> {
    let key = ring.current();
    let id = key.id();
    sealing_key_replace(database, id.as_str(), &key.to_bytes()).await?;
    let total = values_sealed(database).await?;
    let mut rotated = Rotated {
        key: id.clone(),
        resealed: 0,
        forgotten: Vec::new(),
        left: Vec::new(),
        unopened: Vec::new(),
    };
    // What was about to be sealed to the old key when the new one came shows in a later pass.
    for _ in 0..PASSES {
        rotated.unopened.clear();
        reseal_versions(database, ring, &mut rotated, |done| progress(done, total)).await?;
        reseal_credentials(database, ring, &mut rotated).await?;
        rotated.forgotten.extend(sealing_keys_forget(database).await?);
        rotated.left = sealing_keys_old(database).await?;
        if rotated.left.is_empty() || !rotated.unopened.is_empty() {
            break;
        }
    }
    Ok(rotated)
}

/// One pass over the versions of secrets that are sealed to other keys.
async fn reseal_versions(
    database: &Database,
    ring: &Keyring,
    rotated: &mut Rotated,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let id = rotated.key.to_string();
    let mut after = None;
    loop {
        let batch = versions_sealed_otherwise(database, &id, after, BATCH).await?;
        let Some(last) = batch.last() else { return Ok(()) };
        after = Some(last.id);
        for version in &batch {
            let identity = secret::identity(version.organization_id, version.secret_id, version.id);
            match anew(ring, &version.key_id, &identity, &version.sealed)? {
                Ok(sealed) => {
                    let is_done =
                        version_resealed(database, version, &id, sealed.as_bytes()).await?;
                    rotated.resealed += u64::from(is_done);
                }
                Err(why) => rotated.unopened.push((version.id.to_string(), why)),
            }
        }
        progress(rotated.resealed);
    }
}

/// One pass over the credentials for registries that are.
async fn reseal_credentials(
    database: &Database,
    ring: &Keyring,
    rotated: &mut Rotated,
) -> Result<()> {
    let id = rotated.key.to_string();
    let mut after = None;
    loop {
        let batch = credentials_sealed_otherwise(database, &id, after, BATCH).await?;
        let Some(last) = batch.last() else { return Ok(()) };
        after = Some(last.id);
        for row in &batch {
            let identity = registry_credential::identity(row.organization_id, &row.registry);
            match anew(ring, &row.key_id, &identity, &row.sealed)? {
                Ok(sealed) => {
                    let is_done =
                        credential_resealed(database, row, &id, sealed.as_bytes()).await?;
                    rotated.resealed += u64::from(is_done);
                }
                Err(why) => rotated.unopened.push((row.id.to_string(), why)),
            }
        }
    }
}

/// What is sealed, sealed to the keyring's first key; or why it cannot be opened.
fn anew(
    ring: &Keyring,
    key_id: &str,
    identity: &str,
    sealed: &[u8],
) -> Result<Result<Sealed, Unopened>> {
    let key = KeyId::from(key_id.to_owned());
    let value = match ring.open(&key, identity.as_bytes(), &Sealed::from(sealed.to_vec())) {
        Ok(value) => value,
        Err(why) => return Ok(Err(why)),
    };
    let sealed = ring.current().seal(identity.as_bytes(), value.expose_secret());
    sealed
        .map(Ok)
        .ok_or_else(|| Error::internal("nothing can be sealed to the keyring's first key"))
}
