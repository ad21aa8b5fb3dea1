//! A log that is followed: lines of JSON, as they come, and what they are worth.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::answer::text;
use crate::client::Client;

/// The last line of a task that crashes after a second.
const CRASHED: &str = "fatal: giving up after 1 s";
/// How long the next piece may be in coming.
const PATIENCE: Duration = Duration::from_secs(60);

/// A log that is read piece by piece. Dropped, the connection ends.
pub struct Follow {
    response: reqwest::Response,
    /// What came of a line whose end has not come.
    rest: Vec<u8>,
}

impl Follow {
    /// Begins to read.
    pub async fn begin(client: &Client, path: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let request = http
            .get(format!("{}{path}", client.base()))
            .bearer_auth(client.token().unwrap_or_default())
            .header("Accept", "application/jsonl");
        let response = request.send().await?;
        ensure!(response.status() == 200, "{}: {}", response.status(), response.text().await?);
        Ok(Self { response, rest: Vec::new() })
    }

    /// The objects of the next piece; `None`: the log has ended.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>> {
        let piece = timeout(PATIENCE, self.response.chunk()).await.context("nothing came")??;
        let Some(piece) = piece else { return Ok(None) };
        self.rest.extend_from_slice(&piece);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(Some(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?))
    }
}

/// What came of the log of apps that print numbered lines.
#[derive(Debug, Default)]
pub struct Heard {
    /// The first number of each task.
    pub first: BTreeMap<String, u64>,
    /// The last number of each task.
    pub last: BTreeMap<String, u64>,
    /// The tasks whose last line came.
    pub drained: BTreeSet<String>,
    /// Numbered lines.
    pub lines: u64,
    /// Lines that were said to be dropped.
    pub dropped: u64,
    /// How often lines of a task were said to be missing.
    pub missing: u64,
    /// The tasks of which they were since their last line.
    gaps: BTreeSet<String>,
    /// The last one.
    pub cursor: String,
}

impl Heard {
    /// Takes objects of a log. Of each task the numbers follow each other, but for what was dropped or said to be missing.
    pub fn hear(&mut self, objects: &[Value]) -> Result<()> {
        let mut dropped = 0;
        for object in objects {
            if let Some(count) = object["dropped"].as_u64() {
                dropped += count;
                self.dropped += count;
            } else if let Some(task) = object["missing"]["task"].as_str() {
                self.gaps.insert(task.to_owned());
                self.missing += 1;
            } else if let Some(cursor) = object["cursor"].as_str() {
                cursor.clone_into(&mut self.cursor);
            } else if let Some(number) = text(object, "/text")?.strip_prefix("line ") {
                // What makes it longer comes behind a blank.
                let number = number.split(' ').next().unwrap_or_default();
                let (number, task) = (number.parse::<u64>()?, text(object, "/task")?.to_owned());
                if let Some(last) = self.last.get(&task) {
                    let missing = number.checked_sub(last + 1).with_context(|| {
                        let at = text(object, "/at").unwrap_or_default();
                        format!("line {number} of {task} came after line {last}, and is of {at}")
                    })?;
                    let is_said = self.gaps.remove(&task);
                    ensure!(
                        is_said || missing <= dropped,
                        "{missing} lines are missing before line {number}, {dropped} were said to be dropped"
                    );
                    dropped = dropped.saturating_sub(missing);
                }
                self.first.entry(task.clone()).or_insert(number);
                self.last.insert(task, number);
                self.lines += 1;
            } else if matches!(text(object, "/text")?, "drained" | CRASHED) {
                self.drained.insert(text(object, "/task")?.to_owned());
            }
        }
        Ok(())
    }

    /// Reads for so long.
    pub async fn read(&mut self, follow: &mut Follow, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let objects = follow.next().await?.context("the log has ended")?;
            self.hear(&objects)?;
        }
        Ok(())
    }
}
