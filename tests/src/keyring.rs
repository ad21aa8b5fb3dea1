//! A test's keyring: what its workers open values with.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use db::bootstrap::bootstrap_sealing_key;
use sealing::PrivateKey;
use secrecy::{ExposeSecret as _, SecretString};

use crate::mark::Mark;

/// The file that the private keys are in. It goes with the test.
#[derive(Debug)]
pub struct Keyring(PathBuf);

impl Keyring {
    /// Makes one of one key, and has values sealed to it.
    pub(crate) async fn make(mark: &Mark, owner: &SecretString) -> Result<Self> {
        let key = PrivateKey::generate();
        let made = Self(std::env::temp_dir().join(format!("skep-{mark}-keyring")));
        made.write(&[&key])?;
        let id = key.public().id().to_string();
        bootstrap_sealing_key(owner, (&id, &key.public().to_bytes()), &[]).await?;
        Ok(made)
    }

    /// Where it is.
    pub fn file(&self) -> &Path {
        &self.0
    }

    /// Puts these keys in the place of those that are there.
    pub fn write(&self, keys: &[&PrivateKey]) -> Result<()> {
        let lines: Vec<String> =
            keys.iter().map(|key| key.line().expose_secret().to_owned()).collect();
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.0)?;
        Ok(std::io::Write::write_all(&mut file, lines.join("\n").as_bytes())?)
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // One that is left behind opens nothing: its database is gone.
        drop(fs::remove_file(&self.0));
    }
}
