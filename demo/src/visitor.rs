//! The visitor's counts: what a client inside the network sees of `web`. It writes them to its log
//! each second, since nothing is published on hosts; here they are followed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, pin_mut};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::docker::Witness;

/// Its counts come each second; a slow machine gets more time.
const PATIENCE: Duration = Duration::from_secs(20);
/// After so long without counts there are none to come.
const SILENCE: Duration = Duration::from_secs(3);

/// The counts since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    /// Answers by version.
    versions: BTreeMap<String, u64>,
    last_error: Option<String>,
}

impl Counts {
    /// Answers of a version.
    pub(crate) fn of(&self, version: &str) -> u64 {
        self.versions.get(version).copied().unwrap_or_default()
    }

    /// Fails with the visitor's own words where a request has failed.
    pub(crate) fn expect_no_failure(&self) -> Result<()> {
        if self.failed == 0 {
            return Ok(());
        }
        bail!(
            "{} of the visitor's {} requests failed, the last one with: {}",
            self.failed,
            self.sent,
            self.last_error.as_deref().unwrap_or("no word")
        )
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered", self.ok)?;
        let versions: Vec<String> =
            self.versions.iter().map(|(version, count)| format!("{version} {count}")).collect();
        if !versions.is_empty() {
            write!(f, " ({})", versions.join(", "))?;
        }
        write!(f, ", {} failed", self.failed)
    }
}

/// A visitor being followed.
pub(crate) struct Visitor {
    counts: watch::Receiver<Counts>,
}

impl Visitor {
    /// Follows the visitor that runs as this task.
    pub(crate) fn follow(witness: &Witness, task: &str) -> Self {
        let lines = witness.output(task);
        let (sender, counts) = watch::channel(Counts::default());
        tokio::spawn(async move {
            pin_mut!(lines);
            // The end of the stream, whatever its cause, drops the sender, and whoever waits hears.
            while let Some(Ok(line)) = lines.next().await {
                if let Ok(counts) = serde_json::from_str(&line) {
                    sender.send_replace(counts);
                }
            }
        });
        Self { counts }
    }

    /// The newest counts.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    /// Waits for counts like these.
    pub(crate) async fn until(&self, enough: impl Fn(&Counts) -> bool) -> Result<Counts> {
        let mut counts = self.counts.clone();
        match timeout(PATIENCE, counts.wait_for(|counts| enough(counts))).await {
            Ok(Ok(counts)) => Ok(counts.clone()),
            Ok(Err(_)) => bail!("the visitor ended; its last counts are {}", self.counts()),
            Err(_) => bail!(
                "the visitor did not see what it should within {} s; its counts are {}",
                PATIENCE.as_secs(),
                self.counts()
            ),
        }
    }

    /// Waits until every request that was sent by now has an outcome.
    pub(crate) async fn settled(&self) -> Result<Counts> {
        let sent = self.counts().sent;
        self.until(|counts| counts.sent > sent && counts.ok + counts.failed >= sent).await
    }

    /// Its counts, to be said behind something else.
    pub(crate) fn aside(&self) -> String {
        format!("; visitor: {}", self.counts())
    }

    /// The counts that it ended with, once it was told to end: it answers for every request. (The
    /// stream of a task's log does not end with the task, so silence tells.)
    pub(crate) async fn end(mut self) -> Result<Counts> {
        let silence =
            async { while let Ok(Ok(())) = timeout(SILENCE, self.counts.changed()).await {} };
        timeout(PATIENCE, silence).await.context("the visitor was told to end and goes on")?;
        let counts = self.counts();
        if counts.sent != counts.ok + counts.failed {
            bail!("the visitor ended with requests under way: {} sent, {counts}", counts.sent);
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_visitors_line() {
        let line =
            r#"{"failed":0,"last_error":null,"ok":99,"sent":100,"versions":{"v1":40,"v2":59}}"#;
        let counts: Counts = serde_json::from_str(line).unwrap();
        assert_eq!((counts.of("v2"), counts.of("v3")), (59, 0));
        assert_eq!(counts.to_string(), "99 answered (v1 40, v2 59), 0 failed");
        counts.expect_no_failure().unwrap();
    }

    #[test]
    fn a_failure_is_told_with_its_cause() {
        let line = r#"{"failed":2,"last_error":"refused","ok":98,"sent":100,"versions":{}}"#;
        let counts: Counts = serde_json::from_str(line).unwrap();
        let told = counts.expect_no_failure().unwrap_err().to_string();
        assert_eq!(told, "2 of the visitor's 100 requests failed, the last one with: refused");
    }
}
