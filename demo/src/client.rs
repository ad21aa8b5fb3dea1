//! The public API over HTTP, with one token. What it refuses becomes an error that says what was
//! asked and what the problem document told.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::header::LOCATION;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::answers::{Deployment, Page, Problem};

/// Longer than the longest `?wait=`.
const TIMEOUT: Duration = Duration::from_secs(75);
/// How often an accept is sent before the API counts as down: its key makes that safe.
const TRIES: u32 = 3;

/// A client with its token.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: SecretString,
}

impl Client {
    /// A client of the API at `url`.
    pub(crate) fn new(url: &str, token: SecretString) -> Result<Self> {
        // A proxy of the shell's has no business between this program and an API beside it.
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// The same API with another token.
    pub(crate) fn with_token(&self, token: SecretString) -> Self {
        Self { token, ..self.clone() }
    }

    /// Where the API is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Gets what has to be there.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.send(Method::GET, path, |request| request).await?;
        read(path, accepted(Method::GET, path, answer).await?).await
    }

    /// Gets what may be missing: 404 is `None`.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let answer = self.send(Method::GET, path, |request| request).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        read(path, accepted(Method::GET, path, answer).await?).await.map(Some)
    }

    /// All items of a list, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let mut items = Vec::new();
        let mut page: Page<T> = self.get(&format!("{path}?limit=100")).await?;
        loop {
            items.append(&mut page.items);
            let Some(cursor) = page.next_cursor else { return Ok(items) };
            page = self.get(&format!("{path}?limit=100&cursor={cursor}")).await?;
        }
    }

    /// Makes something.
    pub(crate) async fn create<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let answer = self.send(Method::POST, path, |request| request.json(body)).await?;
        read(path, accepted(Method::POST, path, answer).await?).await
    }

    /// Asks for a deployment; returns the path where it can be followed. The key makes a second try the same request, so a connection that
    /// breaks before the answer loses nothing and does nothing twice.
    pub(crate) async fn accept(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String> {
        let key = Uuid::now_v7().to_string();
        let mut tries = 1;
        let answer = loop {
            let sent = self.send(method.clone(), path, |request| {
                let request = request.header("Idempotency-Key", &key);
                match body {
                    Some(body) => request.json(body),
                    None => request,
                }
            });
            match sent.await {
                Err(_) if tries < TRIES => tries += 1,
                sent => break sent?,
            }
        };
        let answer = accepted(method, path, answer).await?;
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.context("an accepted deployment came without Location")?.to_owned();
        let deployment: Deployment = read(path, answer).await?;
        ensure!(
            location.ends_with(&format!("/{}", deployment.id)),
            "{} was accepted, and Location leads to {location}",
            deployment.id
        );
        Ok(location)
    }

    /// The status that a GET is answered with.
    pub(crate) async fn status(&self, path: &str) -> Result<StatusCode> {
        Ok(self.send(Method::GET, path, |request| request).await?.status())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = with(request.bearer_auth(self.token.expose_secret()));
        request.send().await.with_context(|| format!("the API at {} does not answer", self.url))
    }
}

/// The answer, if the API did what was asked.
async fn accepted(method: Method, path: &str, answer: Response) -> Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    let told = match serde_json::from_str::<Problem>(&text) {
        Ok(problem) => problem
            .violations
            .iter()
            .fold(format!("{} ({})", problem.detail, problem.code), |told, broken| {
                format!("{told}; {}: {}", broken.field, broken.rule)
            }),
        Err(_) => text,
    };
    bail!("{method} {path} was answered {}: {told}", status.as_u16())
}

async fn read<T: DeserializeOwned>(path: &str, answer: Response) -> Result<T> {
    let text = answer.text().await.with_context(|| format!("the answer to {path} broke off"))?;
    // The text is not told: it may hold a token's secret.
    serde_json::from_str(&text)
        .with_context(|| format!("the answer to {path} is not what the API promises"))
}
