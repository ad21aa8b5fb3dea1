//! `./dev` of this checkout, for tests that end or start what it started.

use std::path::Path;

use anyhow::{Result, ensure};
use tokio::process::Command;

/// Runs `./dev` with these arguments; an error holds what it said.
pub async fn dev(arguments: &[&str]) -> Result<()> {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev");
    let done = Command::new(&dev).args(arguments).output().await?;
    ensure!(
        done.status.success(),
        "{} {arguments:?}: {}{}",
        dev.display(),
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}
