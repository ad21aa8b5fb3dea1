//! An HTTP client of the API: one base address, one token.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::answer::Answer;

/// Longer than any request may take.
const PATIENCE: Duration = Duration::from_secs(100);

/// Asks the API, as the holder of a token or as nobody.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A request that can be anything: what the helpers of [`Client`] do not say.
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    /// Headers beside those of every request.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body's bytes, sent as JSON.
    pub body: Option<Vec<u8>>,
}

impl Client {
    /// Asks the API at `base`.
    pub fn new(base: &str, token: Option<&str>) -> Result<Self> {
        // The machine's proxy has no business between a test and its API.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { http, base: base.to_owned(), token: token.map(str::to_owned) })
    }

    /// The same, with another token.
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    /// Where the API is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same, at another API process.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// Sends a request.
    pub async fn ask(&self, method: Method, path: &str, ask: Ask<'_>) -> Result<Answer> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        let request_line = format!("{method} {path}");
        let response = request.send().await.with_context(|| request_line.clone())?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.with_context(|| request_line.clone())?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { request: request_line, status, headers, text, body })
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, Ask::default()).await
    }

    /// A POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.ask(Method::POST, path, Ask { body: Some(body.to_string().into()), headers: &[] })
            .await
    }

    /// A POST of JSON with an idempotency key.
    pub async fn post_once(&self, path: &str, body: &Value, key: &str) -> Result<Answer> {
        let headers = &[("Idempotency-Key", key)];
        self.ask(Method::POST, path, Ask { body: Some(body.to_string().into()), headers }).await
    }

    /// A DELETE with an idempotency key.
    pub async fn delete_once(&self, path: &str, key: &str) -> Result<Answer> {
        let headers = &[("Idempotency-Key", key)];
        self.ask(Method::DELETE, path, Ask { body: None, headers }).await
    }

    /// A request with one header, and with a body where there is one.
    pub async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        header: (&str, &str),
    ) -> Result<Answer> {
        let body = body.map(|body| body.to_string().into_bytes());
        self.ask(method, path, Ask { body, headers: &[header] }).await
    }

    /// A PATCH of JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.ask(Method::PATCH, path, Ask { body: Some(body.to_string().into()), headers: &[] })
            .await
    }

    /// A DELETE.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.ask(Method::DELETE, path, Ask::default()).await
    }
}
