//! Public keys, and values sealed to them.

use std::fmt;

use hpke::{Deserializable as _, Kem as _, OpModeS, Serializable as _};
use sha2::{Digest as _, Sha256};

use crate::{Aead, KEY, Kdf, Kem, PURPOSE};

/// What a value is sealed to.
#[derive(Clone)]
pub struct PublicKey(pub(crate) <Kem as hpke::Kem>::PublicKey);

/// The name of a pair of keys: the first eight bytes of the public one's SHA-256, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

/// A value that only the private key opens: the ephemeral public key, then the ciphertext with its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(pub(crate) Vec<u8>);

/// Why a sealed value was not opened. It does not say more: nothing of a value is in an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// It was sealed to a key that is not in the keyring.
    #[error("it is sealed to the key {0}, which is not in this worker's keyring")]
    UnknownKey(KeyId),
    /// It was changed, or is of another row.
    #[error("it is broken, or of another row")]
    Broken,
}

impl PublicKey {
    /// The key of these bytes; none where they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        <Kem as hpke::Kem>::PublicKey::from_bytes(bytes).ok().map(Self)
    }

    /// Its 32 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        KeyId(hex::encode(&Sha256::digest(self.0.to_bytes())[..8]))
    }

    /// Seals a value as that of the row of this identity. None where the key is no point that anything can be sealed to.
    pub fn seal(&self, identity: &[u8], value: &[u8]) -> Option<Sealed> {
        let (ephemeral, ciphertext) = hpke::single_shot_seal::<Aead, Kdf, Kem>(
            &OpModeS::Base,
            &self.0,
            PURPOSE,
            value,
            identity,
        )
        .ok()?;
        let mut sealed = ephemeral.to_bytes().to_vec();
        sealed.extend(ciphertext);
        Some(Sealed(sealed))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl KeyId {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for KeyId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Sealed {
    /// As it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The ephemeral key and the ciphertext; none where it is too short to have both.
    pub(crate) fn parts(&self) -> Option<(&[u8], &[u8])> {
        self.0.split_at_checked(KEY)
    }
}

impl From<Vec<u8>> for Sealed {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// A pair of keys.
pub(crate) fn new_pair() -> (<Kem as hpke::Kem>::PrivateKey, PublicKey) {
    let (private, public) = Kem::gen_keypair();
    (private, PublicKey(public))
}
