//! A request's id, its line in the log, and the headers of every answer.

use std::sync::Arc;
use std::time::Instant;

use model::id::AuditId;
use poem::http::uri::Scheme;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use poem::{Endpoint, Request, Response};

use super::rates::StandingOf;
use crate::document::{Route, UNDOCUMENTED, document};
use crate::measures;

/// Longest id that a caller may choose, in characters.
const MAX_LENGTH: usize = 64;

/// What every answer tells a browser.
const EVERYWHERE: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
];
/// An answer that is no page has nothing to load or to run; pages bring a policy of their own.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";
/// For a year. Said within TLS only: in clear text it must not be heard.
const ONLY_TLS: &str = "max-age=31536000";

static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: the caller's, where it is sane, or one of ours.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// The id of this request.
    pub(crate) fn of(request: &Request) -> &str {
        request.data::<Self>().map_or("", |id| &id.0)
    }

    fn chosen(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(&HEADER)?.to_str().ok()?;
        Self::is_sane(text).then(|| Self(text.into()))
    }

    /// A text that a caller may choose as an id: visible ASCII, at most [`MAX_LENGTH`].
    pub(crate) fn is_sane(text: &str) -> bool {
        (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    fn made() -> Self {
        // The random part and order by time of an id of ours, under another prefix.
        let id = AuditId::new().to_string();
        Self(id.replace(AuditId::PREFIX, "req").into())
    }
}

/// The route that serves a request, found once.
#[derive(Clone, Copy)]
pub(crate) struct RouteOf(Option<&'static Route>);

impl RouteOf {
    /// The route of this request; `None`: its path is nobody's.
    pub(crate) fn of(request: &Request) -> Option<&'static Route> {
        request.data::<Self>().and_then(|route| route.0)
    }
}

/// Gives the request its id, finds its route, answers with it, logs one line.
pub(super) async fn traced<E>(next: Arc<E>, mut request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let started = Instant::now();
    let id = RequestId::chosen(request.headers()).unwrap_or_else(RequestId::made);
    request.set_data(id.clone());
    let method = request.method().clone();
    if method == Method::HEAD {
        // Answered as GET is, by whatever answers that; the connection leaves the body out.
        request.set_method(Method::GET);
    }
    let within_tls = *request.scheme() == Scheme::HTTPS;
    let path = request.uri().path();
    let tenants = path.starts_with("/v1/");
    let route = document().routes().find(path);
    request.set_data(RouteOf(route));
    let standing = StandingOf::default();
    request.set_data(standing.clone());
    let route = route.map_or("-", Route::template);
    let mut response = next.get_response(request).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(HEADER.clone(), id);
    }
    standing.write(headers);
    for (name, value) in &EVERYWHERE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE));
    }
    if within_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(ONLY_TLS));
    }
    if !UNDOCUMENTED.contains(&route) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let took = started.elapsed();
    measures::request(route, &method, response.status(), took);
    let status = response.status().as_u16();
    let ms = took.as_micros() as f64 / 1000.0;
    let request_id = &*id.0;
    if tenants {
        tracing::info!(%method, route, status, ms, request_id, "request");
    } else {
        // Probes ask every few seconds, and whoever watches them sees the answer.
        tracing::debug!(%method, route, status, ms, request_id, "request");
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER.clone(), HeaderValue::from_str(text).unwrap());
        RequestId::chosen(&headers).map(|id| id.0.to_string())
    }

    #[test]
    fn a_sane_id_is_kept() {
        assert_eq!(chosen("trace-1"), Some("trace-1".into()));
        for bad in ["", "a b", &"x".repeat(65), "\u{7f}ä"] {
            let bytes: Vec<u8> = bad.bytes().filter(|byte| *byte != 0x7f).collect();
            let mut headers = HeaderMap::new();
            headers.insert(HEADER.clone(), HeaderValue::from_bytes(&bytes).unwrap());
            assert!(RequestId::chosen(&headers).is_none(), "{bad}");
        }
        assert!(RequestId::made().0.starts_with("req_"));
    }
}
