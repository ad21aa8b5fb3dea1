//! Private keys, as a worker has them in a file: one line each, the one that is sealed to now first.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hpke::{Deserializable as _, Kem as _, OpModeR, Serializable as _};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::seal::new_pair;
use crate::{Aead, KEY, Kdf, Kem, KeyId, PURPOSE, PublicKey, Sealed, Unopened};

/// What a line begins with: a file of something else is none of keys.
const MARK: &str = "skep-sealing-key";
/// Most keys: two are usual, while one takes the other's place.
const MOST: usize = 16;
/// What names are derived for.
const NAMES: &[u8] = b"skep/names-of-sealed-values/1";

/// A private key.
#[derive(Clone)]
pub struct PrivateKey {
    private: <Kem as hpke::Kem>::PrivateKey,
    public: PublicKey,
}

/// All private keys of a worker.
#[derive(Debug, Clone)]
pub struct Keyring(Vec<PrivateKey>);

/// Why a file is no keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyring {
    /// There is no key in it.
    #[error("there is no key in it")]
    Empty,
    /// There are too many.
    #[error("there are more than {MOST} keys in it")]
    TooMany,
    /// A line is none: its number.
    #[error("line {0} is no key: it reads `{MARK} BASE64`")]
    Line(usize),
}

impl PrivateKey {
    /// A new one.
    pub fn generate() -> Self {
        let (private, public) = new_pair();
        Self { private, public }
    }

    /// What is sealed to it.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its line of a keyring's file, without the end of the line.
    pub fn line(&self) -> SecretString {
        let bytes = Zeroizing::new(self.private.to_bytes().to_vec());
        let text = Zeroizing::new(STANDARD.encode(&*bytes));
        format!("{MARK} {}", *text).into()
    }

    fn of_line(line: &str) -> Option<Self> {
        let text = line.strip_prefix(MARK)?.strip_prefix(' ')?;
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes).ok()?;
        let public = PublicKey(Kem::sk_to_pk(&private));
        Some(Self { private, public })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.id())
    }
}

impl Keyring {
    /// The keys of a file: empty lines, and those that begin with `#`, say nothing.
    pub fn of_file(text: &SecretString) -> Result<Self, InvalidKeyring> {
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.expose_secret().lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(PrivateKey::of_line(line.trim_end()).ok_or(InvalidKeyring::Line(number))?);
        }
        match keys.len() {
            0 => Err(InvalidKeyring::Empty),
            1..=MOST => Ok(Self(keys)),
            _ => Err(InvalidKeyring::TooMany),
        }
    }

    /// The key that is to be sealed to.
    pub fn current(&self) -> &PublicKey {
        &self.0[0].public
    }

    /// Names of all keys.
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(|key| key.public.id()).collect()
    }

    /// Opens a value that was sealed to the key of this name, for the row of this identity.
    pub fn open(
        &self,
        key: &KeyId,
        identity: &[u8],
        sealed: &Sealed,
    ) -> Result<SecretSlice<u8>, Unopened> {
        let found = self.0.iter().find(|one| one.public.id() == *key);
        let found = found.ok_or_else(|| Unopened::UnknownKey(key.clone()))?;
        let (ephemeral, ciphertext) = sealed.parts().ok_or(Unopened::Broken)?;
        let ephemeral =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(ephemeral).map_err(|_| Unopened::Broken)?;
        let value = hpke::single_shot_open::<Aead, Kdf, Kem>(
            &OpModeR::Base,
            &found.private,
            &ephemeral,
            PURPOSE,
            ciphertext,
            identity,
        )
        .map_err(|_| Unopened::Broken)?;
        Ok(value.into())
    }

    /// A name for a value where others see names: 32 hexadecimal characters, which tell nothing of the value. The same value in another row
    /// has another name.
    pub fn name(&self, identity: &[u8], value: &SecretSlice<u8>) -> String {
        let private = Zeroizing::new(<[u8; KEY]>::from(self.0[0].private.to_bytes()));
        let key = Zeroizing::new(mac(&private, &[NAMES]));
        hex::encode(&mac(&key, &[identity, value.expose_secret()])[..16])
    }
}

/// HMAC-SHA256 of the parts, each with its length before it.
fn mac(key: &[u8; KEY], parts: &[&[u8]]) -> [u8; KEY] {
    // A key is filled up to a block with zeros (RFC 2104).
    let mut block = Zeroizing::new([0; 64]);
    block[..KEY].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(keys: &[&PrivateKey]) -> Keyring {
        let lines: Vec<String> =
            keys.iter().map(|key| key.line().expose_secret().to_owned()).collect();
        Keyring::of_file(&lines.join("\n").into()).unwrap()
    }

    proptest! {
        // Unoptimised, a case takes a twentieth of a second.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_sealed_opens_for_its_row_and_for_no_other(
            value in proptest::collection::vec(any::<u8>(), 0..2048),
            identity in ".{1,40}",
            other in ".{1,40}",
            flipped in any::<prop::sample::Index>(),
        ) {
            let key = PrivateKey::generate();
            let ring = ring(&[&key]);
            let id = key.public().id();
            let sealed = key.public().seal(identity.as_bytes(), &value).unwrap();
            prop_assert_eq!(sealed.as_bytes().len(), value.len() + 48, "a key and a tag");
            let opened = ring.open(&id, identity.as_bytes(), &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), &*value);
            if other != identity {
                let opened = ring.open(&id, other.as_bytes(), &sealed);
                prop_assert_eq!(opened.err(), Some(Unopened::Broken));
            }
            let mut bytes = sealed.as_bytes().to_vec();
            let at = flipped.index(bytes.len());
            bytes[at] ^= 1;
            let opened = ring.open(&id, identity.as_bytes(), &Sealed::from(bytes));
            prop_assert_eq!(opened.err(), Some(Unopened::Broken));
        }
    }

    #[test]
    fn a_new_key_is_sealed_to_and_the_old_one_still_opens() {
        let (old, new) = (PrivateKey::generate(), PrivateKey::generate());
        let sealed = old.public().seal(b"row", b"value").unwrap();
        let both = ring(&[&new, &old]);
        assert_eq!(both.current().id(), new.public().id());
        assert!(both.open(&old.public().id(), b"row", &sealed).is_ok());
        let only_new = ring(&[&new]);
        let unopened = only_new.open(&old.public().id(), b"row", &sealed).err();
        assert_eq!(unopened, Some(Unopened::UnknownKey(old.public().id())));
        // The key that it says does not open it either.
        assert_eq!(both.open(&new.public().id(), b"row", &sealed).err(), Some(Unopened::Broken));
    }

    #[test]
    fn equal_values_have_different_names_in_different_rows() {
        let ring = ring(&[&PrivateKey::generate()]);
        let value: SecretSlice<u8> = b"value".to_vec().into();
        assert_eq!(ring.name(b"one", &value), ring.name(b"one", &value));
        assert_ne!(ring.name(b"one", &value), ring.name(b"two", &value));
        // Where the identity ends is part of it.
        assert_ne!(ring.name(b"on", &b"evalue".to_vec().into()), ring.name(b"one", &value));
    }

    #[test]
    fn a_file_of_something_else_is_refused_by_line() {
        let of = |text: &str| Keyring::of_file(&text.into()).map(|ring| ring.ids().len());
        assert_eq!(of("# nothing\n\n"), Err(InvalidKeyring::Empty));
        let line = format!("{}\n", PrivateKey::generate().line().expose_secret());
        assert_eq!(of(&format!("# mine\n{line}")), Ok(1));
        assert_eq!(of(&format!("{line}-----BEGIN KEY-----\n")), Err(InvalidKeyring::Line(2)));
        assert_eq!(of(&format!("{MARK} c2hvcnQ=\n")), Err(InvalidKeyring::Line(1)));
        assert_eq!(of(&line.repeat(MOST + 1)), Err(InvalidKeyring::TooMany));
    }

    #[test]
    fn private_keys_are_never_printed() {
        let key = PrivateKey::generate();
        let line = key.line().expose_secret().to_owned();
        let secret = line.trim_start_matches(MARK).trim();
        let printed = format!("{key:?} {:?} {:?}", key.line(), ring(&[&key]));
        assert!(!printed.contains(secret), "{printed}");
    }
}
