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

/// Puts this in the place of what the file has, at once and whole.
pub(crate) fn replace(file: &Path, secret: &SecretString) -> anyhow::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let context = || format!("cannot write {}", new.display());
    let mut options = OpenOptions::new();
    let mut opened =
        options.write(true).create_new(true).mode(0o600).open(new).with_context(context)?;
    opened.write_all(secret.expose_secret().as_bytes()).with_context(context)?;
    opened.sync_all().with_context(context)?;
    std::fs::rename(new, file).with_context(|| format!("cannot replace {}", file.display()))
}
