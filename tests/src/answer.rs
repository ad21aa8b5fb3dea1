//! An answer of the API, and what a test expects of it.

use anyhow::{Context, Result, ensure};
use reqwest::header::HeaderMap;
use serde_json::Value;

/// What the API answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages.
    pub request: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null where it is none.
    pub body: Value,
}

impl Answer {
    /// The body, if the status is this one.
    pub fn expect(self, status: u16) -> Result<Value> {
        ensure!(
            self.status == status,
            "{} answered {} instead of {status}: {}",
            self.request,
            self.status,
            self.text
        );
        Ok(self.body)
    }

    /// The problem, if it is one of this status and code, in the one form that problems have.
    pub fn problem(self, status: u16, code: &str) -> Result<Value> {
        let request = self.request.clone();
        let media_type = self.header("content-type").unwrap_or_default().to_owned();
        let id = self.header("x-request-id").unwrap_or_default().to_owned();
        let problem = self.expect(status)?;
        ensure!(problem["code"] == code, "{request}: not {code}: {problem}");
        ensure!(media_type == "application/problem+json", "{request}: {media_type}");
        ensure!(problem["status"] == status, "{request}: {problem}");
        ensure!(!id.is_empty() && problem["request_id"] == *id, "{request}: {id}: {problem}");
        for field in ["type", "title", "detail"] {
            ensure!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        Ok(problem)
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A text field of a JSON object, by a path like `/reason/code`.
pub fn text<'a>(json: &'a Value, path: &str) -> Result<&'a str> {
    json.pointer(path).and_then(Value::as_str).with_context(|| format!("no text {path} in {json}"))
}

/// A list in a JSON object.
pub fn list<'a>(json: &'a Value, path: &str) -> Result<&'a [Value]> {
    let found = json.pointer(path).and_then(Value::as_array);
    Ok(found.with_context(|| format!("no list {path} in {json}"))?.as_slice())
}
