//! Rotation of the key that values are sealed to, while everything serves: first new values are sealed to the new one, then each old
//! value is opened and sealed anew. It can be interrupted anywhere and begun again.

use db::Database;
use db::sealing_keys::{sealing_key_replace, sealing_keys_forget};
use db::secrets::keeping::{
    SealedVersion, version_resealed, versions_sealed, versions_sealed_otherwise,
};
use model::id::SecretVersionId;
use model::secret::identity;
use model::{Error, Result};
use sealing::{KeyId, Keyring, Sealed, Unopened};
use secrecy::ExposeSecret as _;

/// Most values that are read at once.
const BATCH: i64 = 50;

/// What a rotation came to.
#[derive(Debug)]
pub struct Rotated {
    /// The key that everything is sealed to.
    pub key: KeyId,
    /// Values that were sealed anew.
    pub resealed: u64,
    /// Keys that nothing is sealed to any more.
    pub forgotten: Vec<String>,
    /// Values that no key of the keyring opens: they stay as they are.
    pub unopened: Vec<(SecretVersionId, Unopened)>,
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
    let total = versions_sealed(database).await?;
    let mut rotated =
        Rotated { key: id.clone(), resealed: 0, forgotten: Vec::new(), unopened: Vec::new() };
    // What was about to be sealed to the old key when the new one came shows in the next pass.
    loop {
        let pass = reseal(database, ring, &mut rotated, |done| progress(done, total)).await?;
        if pass == 0 {
            break;
        }
    }
    rotated.forgotten = sealing_keys_forget(database).await?;
    Ok(rotated)
}

/// One pass over what is sealed to other keys; how many values it sealed anew.
async fn reseal(
    database: &Database,
    ring: &Keyring,
    rotated: &mut Rotated,
    mut progress: impl FnMut(u64),
) -> Result<u64> {
    rotated.unopened.clear();
    let before = rotated.resealed;
    let mut after = None;
    loop {
        let id = rotated.key.as_str();
        let batch = versions_sealed_otherwise(database, id, after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = Some(last.id);
        for version in &batch {
            match anew(ring, version)? {
                Ok(sealed) => {
                    let is_done =
                        version_resealed(database, version, id, sealed.as_bytes()).await?;
                    rotated.resealed += u64::from(is_done);
                }
                Err(why) => rotated.unopened.push((version.id, why)),
            }
        }
        progress(rotated.resealed);
    }
    Ok(rotated.resealed - before)
}

fn anew(ring: &Keyring, version: &SealedVersion) -> Result<Result<Sealed, Unopened>> {
    let identity = identity(version.organization_id, version.secret_id, version.id);
    let key = KeyId::from(version.key_id.clone());
    let value = match ring.open(&key, identity.as_bytes(), &Sealed::from(version.sealed.clone())) {
        Ok(value) => value,
        Err(why) => return Ok(Err(why)),
    };
    let sealed = ring.current().seal(identity.as_bytes(), value.expose_secret());
    sealed
        .map(Ok)
        .ok_or_else(|| Error::internal("nothing can be sealed to the keyring's first key"))
}
