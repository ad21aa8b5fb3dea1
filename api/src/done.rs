//! Answers to requests that change something. A handler says in [`kept`] what its change is answered
//! with; `db` keeps that beside the request's idempotency key and commits both with the change; [`Done`]
//! sends it, now and each time that the request is repeated.

use std::marker::PhantomData;

use db::{Answer, Answered};
use futures::FutureExt as _;
use model::Error;
use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaResponses, Registry};
use poem_openapi::types::Type as _;

/// Says that an earlier request with the same key was done, and this one changed nothing.
const REPLAYED: &str = "Idempotency-Replayed";
static REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The media type of every answer that is kept.
const JSON: &str = "application/json; charset=utf-8";

/// Headers that are kept with an answer: those that its body does not say.
const KEPT_HEADERS: &[&str] = &["location", "etag"];

/// The answer to a request that was done: one of the forms of `R`.
pub(crate) struct Done<R> {
    response: Response,
    form: PhantomData<R>,
}

impl<R> Done<R> {
    /// The answer that is sent.
    pub(crate) fn of(answered: Answered) -> Result<Self, Error> {
        let status = StatusCode::from_u16(answered.status()).map_err(Error::internal)?;
        let mut headers = HeaderMap::new();
        for (name, value) in answered.headers() {
            let name: HeaderName = name.parse().map_err(Error::internal)?;
            headers.insert(name, HeaderValue::from_str(value).map_err(Error::internal)?);
        }
        if answered.replayed() {
            headers.insert(REPLAYED_HEADER.clone(), HeaderValue::from_static("true"));
        }
        let mut response =
            Response::builder().status(status).content_type(JSON).body(answered.into_body());
        response.headers_mut().extend(headers);
        Ok(Self { response, form: PhantomData })
    }
}

/// What is kept of a response, and sent.
pub(crate) fn kept(response: impl IntoResponse) -> Result<Answer, Error> {
    let (head, body) = response.into_response().into_parts();
    // A body that is written from memory is there at once.
    let body = body.into_string().now_or_never();
    let body = body.ok_or_else(|| Error::internal("an answer whose body is not there yet"))?;
    let header = |name: &&str| {
        let value = head.headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.to_owned()))
    };
    Ok(Answer {
        status: head.status.as_u16(),
        headers: KEPT_HEADERS.iter().filter_map(header).collect(),
        body: body.map_err(Error::internal)?,
        shown_once: None,
    })
}

/// The same for a response that shows a secret, which is sent this once; what is kept, and sent
/// again, is the one without it.
pub(crate) fn shown_once(
    response: impl IntoResponse,
    without_secret: impl IntoResponse,
) -> Result<Answer, Error> {
    let shown = kept(response)?.body;
    Ok(Answer { shown_once: Some(shown.into()), ..kept(without_secret)? })
}

impl<R: Send> IntoResponse for Done<R> {
    fn into_response(self) -> Response {
        self.response
    }
}

impl<R: ApiResponse> ApiResponse for Done<R> {
    fn meta() -> MetaResponses {
        let mut meta = R::meta();
        for response in &mut meta.responses {
            response.headers.push(MetaHeader {
                name: REPLAYED.to_owned(),
                description: Some(
                    "`true` where an earlier request with the same `Idempotency-Key` was done: this is \
                     its answer, and nothing was changed again."
                        .to_owned(),
                ),
                required: false,
                deprecated: false,
                schema: bool::schema_ref(),
            });
        }
        meta
    }

    fn register(registry: &mut Registry) {
        R::register(registry);
    }
}
