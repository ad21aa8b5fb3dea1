//! Sealing: what tenants hand over and only workers may read. The API seals a value to a public key, and has nothing to open it with;
//! workers have the private keys, in a file of theirs.
//!
//! HPKE in its base mode (RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305). A value is sealed together with the identity of its row: moved
//! to another row, it does not open. Nothing here reads files, talks to Postgres or logs.

mod keyring;
pub mod memory;
mod seal;

pub use keyring::{InvalidKeyring, Keyring, PrivateKey};
pub use seal::{KeyId, PublicKey, Sealed, Unopened};

/// What everything here is sealed with.
type Kem = hpke::kem::X25519HkdfSha256;
/// The same.
type Kdf = hpke::kdf::HkdfSha256;
/// The same.
type Aead = hpke::aead::ChaCha20Poly1305;

/// What all sealing of Skep's is for (HPKE's `info`): a key that somebody uses elsewhere, too, opens nothing of ours.
const PURPOSE: &[u8] = b"skep/sealed-value/1";
/// Bytes of a key: a private one, a public one, the ephemeral one that a sealed value begins with, and what HMAC-SHA256 comes to.
const KEY: usize = 32;
