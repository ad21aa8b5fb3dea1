//! Cross-origin requests (the Fetch standard): pages of the origins that the operator lists may call the
//! API from a browser; those of others may not, and by default that is all. An origin is named exactly. Credentials
//! that a browser adds by itself are never asked for: whoever calls sends its token.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use url::Url;

use super::RouteOf;

/// Headers that a page may send.
const TAKEN: &str =
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id";
/// Headers of answers that a page may read.
const SHOWN: &str = "Allow, ETag, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id";
/// Seconds for which a browser need not ask again.
const REMEMBERED: &str = "600";

/// An origin as a browser sends it: scheme, host, and a port that is not the scheme's own.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let is_one = Url::parse(text).is_ok_and(|url| {
        // A host may be *, of which a reader would believe more than is true.
        matches!(url.scheme(), "http" | "https")
            && url.origin().ascii_serialization() == text
            && !text.contains('*')
    });
    let rule = "an origin is scheme, host and port as a browser sends them, such as https://console.example.org";
    if is_one { Ok(text.to_owned()) } else { Err(rule.to_owned()) }
}

/// The origins whose pages may call.
#[derive(Clone)]
pub(crate) struct Cors(Arc<[String]>);

impl Cors {
    /// These origins.
    pub(crate) fn new(origins: Vec<String>) -> Self {
        Self(origins.into())
    }

    /// Answers a browser that asks beforehand; tells a page of a listed origin that it may read the answer.
    pub(super) async fn told<E>(self, next: Arc<E>, request: Request) -> poem::Result<Response>
    where
        E: Endpoint<Output = Response>,
    {
        if self.0.is_empty() {
            return next.call(request).await;
        }
        let origin = self.listed(request.headers());
        let preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let route = RouteOf::of(&request);
        let mut response = match (&origin, route) {
            (Some(_), Some(route)) if preflight => {
                let mut response = Response::from(StatusCode::NO_CONTENT);
                let headers = response.headers_mut();
                if let Ok(methods) = HeaderValue::from_str(&route.allow()) {
                    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
                }
                headers
                    .insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(TAKEN));
                headers
                    .insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
                response
            }
            _ => next.call(request).await?,
        };
        let headers = response.headers_mut();
        // Also for who has no origin: a cache must not give one's answer to the other.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SHOWN));
        }
        Ok(response)
    }

    fn listed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let given = headers.get(header::ORIGIN)?;
        self.0.iter().any(|origin| origin.as_bytes() == given.as_bytes()).then(|| given.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_exact() {
        for good in ["https://a.example", "http://localhost:3000", "https://[::1]:8443"] {
            assert_eq!(origin(good), Ok(good.to_owned()));
        }
        for bad in [
            "*",
            "null",
            "a.example",
            "https://a.example/",
            "https://A.example",
            "https://*.example",
            "https://a:443",
            "file:///",
            "",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
