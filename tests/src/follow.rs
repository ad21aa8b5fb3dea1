//! A log that is followed: lines of JSON, as they come.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::time::timeout;

use crate::client::Client;

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
