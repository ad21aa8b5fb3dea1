//! Short-lived logins: the operator's refresh command makes a user name and a password, for a while, of what an organization has given.
//!
//! It is the operator's program, not a tenant's: a tenant gives it a text. It gets one JSON object on its standard input (`registry`,
//! `username`, `secret`) and prints one (`username`, `secret`, `expires_at`); what it says on its standard error is told when it fails.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes that are read of what it prints.
const MOST: u64 = 64 * 1024;

/// The refresh command.
#[derive(Debug, Clone)]
pub struct Issuer(pub PathBuf);

/// What it made.
#[derive(Debug, Deserialize)]
pub(super) struct Issued {
    /// Who logs in.
    pub(super) username: String,
    /// With which password.
    pub(super) secret: SecretString,
    /// Until when.
    pub(super) expires_at: DateTime<Utc>,
}

impl Issuer {
    /// Runs it; a sentence where it makes nothing.
    pub(super) async fn issue(
        &self,
        registry: &str,
        username: Option<&str>,
        secret: &SecretString,
    ) -> Result<Issued, String> {
        let asked = serde_json::json!({
            "registry": registry, "username": username, "secret": secret.expose_secret(),
        });
        let asked = Zeroizing::new(asked.to_string());
        let ran = timeout(PATIENCE, self.run(&asked)).await;
        let ran = ran
            .map_err(|_| format!("the refresh command took more than {} s", PATIENCE.as_secs()))?;
        ran.map_err(|error| {
            tracing::warn!(command = %self.0.display(), %error, "the refresh command failed");
            format!("the refresh command failed: {error}")
        })
    }

    async fn run(&self, asked: &str) -> std::io::Result<Issued> {
        let mut child = Command::new(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (mut stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(stdin) = &mut stdin {
                // One that does not read has its reasons: what it prints counts.
                drop(stdin.write_all(asked.as_bytes()).await);
            }
            drop(stdin);
        };
        let mut printed = Zeroizing::new(Vec::new());
        let mut said = Vec::new();
        let read = async {
            if let Some(stdout) = stdout {
                stdout.take(MOST).read_to_end(&mut printed).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let hear = async {
            if let Some(stderr) = stderr {
                stderr.take(MOST).read_to_end(&mut said).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let ((), read, hear) = tokio::join!(write, read, hear);
        read?;
        hear?;
        let status = child.wait().await?;
        if !status.success() {
            let said = String::from_utf8_lossy(&said);
            let last = said.lines().last().unwrap_or("it said nothing").trim();
            let last: String = last.chars().filter(|c| !c.is_control()).take(300).collect();
            return Err(std::io::Error::other(format!("{status}: {last}")));
        }
        // The parser's words may repeat what was printed.
        serde_json::from_slice(&printed).map_err(|_| {
            std::io::Error::other("it printed no JSON object with username, secret and expires_at")
        })
    }
}
