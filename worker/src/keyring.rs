//! The file that the private keys are in: made by a bootstrap, read by every worker.

pub(crate) mod commands;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use orchestrator::vault::ReadKeyring;
use sealing::{KeyId, Keyring, PrivateKey};
use secrecy::SecretString;

use crate::secret_file;

/// Reads the keyring, which is made where there is none.
pub(crate) fn read_or_make(file: &Path) -> anyhow::Result<Keyring> {
    if let Some(keyring) = read(file)? {
        return Ok(keyring);
    }
    secret_file::write(file, &PrivateKey::generate().line())?;
    tracing::info!(file = %file.display(), "wrote a keyring: whoever loses it loses every sealed value");
    // As it stands there: another bootstrap may have been faster.
    read(file)?.with_context(|| format!("{} is gone again", file.display()))
}

/// Refuses a keyring that does not open what is sealed now.
pub(crate) fn check(file: Option<&Path>, current: Option<&KeyId>) -> anyhow::Result<()> {
    match (file, current) {
        (None, None) => Ok(()),
        (None, Some(current)) => {
            tracing::warn!(key = %current, "values are sealed, and this worker has no keyring to open them: set SKEP_SEALING_KEYRING_FILE");
            Ok(())
        }
        (Some(file), current) => {
            let Some(keyring) = read(file)? else {
                bail!("there is no keyring {}: bootstrap makes one", file.display())
            };
            match current {
                Some(current) if !keyring.ids().contains(current) => bail!(
                    "values are sealed to the key {current}, which is not in {}: bring the file of the other workers here",
                    file.display()
                ),
                _ => Ok(()),
            }
        }
    }
}

/// What a vault reads the keyring with.
pub(crate) fn reader(file: Option<PathBuf>) -> Option<ReadKeyring> {
    let file = file?;
    Some(Box::new(move || match read(&file) {
        Ok(Some(keyring)) => Ok(keyring),
        Ok(None) => Err(format!("there is no keyring {}", file.display())),
        Err(error) => Err(format!("{error:#}")),
    }))
}

fn read(file: &Path) -> anyhow::Result<Option<Keyring>> {
    let text: SecretString = match fs::read_to_string(file) {
        Ok(text) => text.into(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(format!("cannot read {}", file.display())),
    };
    let keyring = Keyring::of_file(&text);
    keyring.map(Some).with_context(|| format!("{} is no keyring", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_made_once_for_its_owner_and_checked_from_then_on() {
        let directory = std::env::temp_dir().join(format!("skep-keyring-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("keyring");
        let made = read_or_make(&file).unwrap();
        let again = read_or_make(&file).unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let current = made.current().id();
        let other = PrivateKey::generate().public().id();
        let checked = [
            check(Some(&file), Some(&current)),
            check(Some(&file), Some(&other)),
            check(Some(&directory.join("none")), None),
            check(None, Some(&current)),
        ];
        fs::write(&file, "something else").unwrap();
        let broken = check(Some(&file), None).unwrap_err();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!((made.ids(), mode), (again.ids(), 0o600));
        let told: Vec<String> = checked
            .iter()
            .map(|checked| checked.as_ref().err().map(ToString::to_string).unwrap_or_default())
            .collect();
        assert!(told[0].is_empty() && told[3].is_empty(), "{told:?}");
        assert!(told[1].contains(other.as_str()) && told[2].contains("none"), "{told:?}");
        assert!(broken.to_string().contains("is no keyring"), "{broken:#}");
    }
}
