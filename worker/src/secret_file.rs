//! Files that hold a secret: readable by their owner alone, and never written over.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

/// Writes a secret, and the end of its line. A file that is there stays as it is.
pub(crate) fn write(file: &Path, secret: &SecretString) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let mut opened = match options.write(true).create_new(true).mode(0o600).open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error).context(format!("cannot write {}", file.display())),
    };
    writeln!(opened, "{}", secret.expose_secret())?;
    Ok(())
}
