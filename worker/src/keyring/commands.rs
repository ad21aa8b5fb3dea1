//! `worker keyring`: what is sealed to which key, a new key, and everything sealed to it.

use std::io::Write as _;

use anyhow::{Context as _, ensure};
use db::Database;
use db::sealing_keys::{KnownKey, sealing_keys_list};
use orchestrator::vault::rotation::rotate;
use sealing::{Keyring, PrivateKey};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{read, read_or_make};
use crate::secret_file;
use crate::settings::{KeyringAdd, KeyringList, KeyringRotate};

/// Prints each key, whether it is in the file, and how many values are sealed to it.
pub(crate) async fn list(settings: KeyringList) -> anyhow::Result<()> {
    let ring = keyring(&settings.keyring.sealing_keyring_file)?;
    let database = Database::new(settings.database_url, 1)?;
    db::migrations::schema_check(&database).await?;
    let ids: Vec<String> = ring.ids().iter().map(ToString::to_string).collect();
    let mut out = std::io::stdout().lock();
    if !settings.json {
        writeln!(out, "{:<16}  {:<8}  {:<9}  values", "key", "in file", "sealed to")?;
    }
    for key in sealing_keys_list(&database, &ids).await? {
        let KnownKey { id, is_current, values } = key;
        let is_in_file = ids.contains(&id);
        if settings.json {
            let line = json!({ "key": id, "in_file": is_in_file, "sealed_to": is_current, "values": values });
            writeln!(out, "{line}")?;
        } else {
            let word = |is_so| if is_so { "yes" } else { "no" };
            writeln!(out, "{id:<16}  {:<8}  {:<9}  {values}", word(is_in_file), word(is_current))?;
        }
    }
    Ok(())
}

/// Puts a new key before those of the file. Nothing is sealed to it yet.
pub(crate) fn add(settings: &KeyringAdd) -> anyhow::Result<()> {
    let file = &settings.keyring.sealing_keyring_file;
    read_or_make(file)?;
    let lines = std::fs::read_to_string(file).map(secrecy::SecretString::from)?;
    let key = PrivateKey::generate();
    let all = format!("{}\n{}", key.line().expose_secret(), lines.expose_secret()).into();
    secret_file::replace(file, &all)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "added the key {} to {}\nnext: bring the file to every worker's host (workers read it anew when they need the key), then run \
         `worker keyring rotate`",
        key.public().id(),
        file.display()
    )?;
    Ok(())
}

/// Seals everything to the file's first key.
pub(crate) async fn rotate_all(settings: KeyringRotate) -> anyhow::Result<()> {
    let ring = keyring(&settings.keyring.sealing_keyring_file)?;
    let database = Database::new(settings.database_url, 2)?;
    db::migrations::schema_check(&database).await?;
    let rotated = rotate(&database, &ring, |done, total| {
        tracing::info!(done, total, "sealed anew");
    })
    .await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} values were sealed anew, to the key {}", rotated.resealed, rotated.key)?;
    for id in &rotated.forgotten {
        writeln!(
            out,
            "nothing is sealed to {id} any more: take its line out of the file of every worker when no backup of Postgres that \
             needs it is left to be restored"
        )?;
    }
    for (version, why) in &rotated.unopened {
        writeln!(out, "{version} stays as it is: {why}")?;
    }
    ensure!(
        rotated.unopened.is_empty(),
        "{} values could not be opened with this keyring; bring the keys that they are sealed to, and run this again",
        rotated.unopened.len()
    );
    ensure!(
        rotated.left.is_empty(),
        "something is still being sealed to {}: run this again",
        rotated.left.join(", ")
    );
    Ok(())
}

fn keyring(file: &std::path::Path) -> anyhow::Result<Keyring> {
    read(file)?
        .with_context(|| format!("there is no keyring {}: bootstrap makes one", file.display()))
}
