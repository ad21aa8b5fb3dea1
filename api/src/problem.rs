//! Problem details (RFC 9457): the one form of every error that leaves this process.
//!
//! Handlers return [`Problem`]; the middleware `problems` turns it, and everything that the
//! framework itself refuses, into an answer that carries the request's id.

mod translate;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;

use model::Error;
use model::error::{ErrorCode, Violation};
use model::quota::{Excess, Quota};
use poem::error::ResponseError;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Body, Response};
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry,
};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};

pub(crate) use translate::translate;

use crate::problems_page;
use crate::word::Word;

/// The media type of problems.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The HTTP status that a code is sent with.
pub(crate) const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Invalid => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated | ErrorCode::InvalidCredentials => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::OrganizationSuspended => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::AlreadyExists
        | ErrorCode::InUse
        | ErrorCode::NotRemovable
        | ErrorCode::Overlap
        | ErrorCode::NetworkFull
        | ErrorCode::TooMany
        | ErrorCode::QuotaExceeded
        | ErrorCode::LastOwner
        | ErrorCode::NotRotatable
        | ErrorCode::NothingDeployed
        | ErrorCode::NotDeployable
        | ErrorCode::AppStopped
        | ErrorCode::NotCancelable
        | ErrorCode::AlreadyLive
        | ErrorCode::BeingRemoved
        | ErrorCode::SubnetsExhausted
        | ErrorCode::IdempotencyKeyInFlight => StatusCode::CONFLICT,
        ErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorCode::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::TooManyAttempts | ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Overloaded | ErrorCode::LoginsOverloaded | ErrorCode::Unavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a code means, in a few words that never change with the occasion.
pub(crate) const fn title_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Invalid => "The request breaks a rule",
        ErrorCode::Unauthenticated => "No valid token was given",
        ErrorCode::InvalidCredentials => "Email address and password are nobody's",
        ErrorCode::TooManyAttempts => "Too many wrong passwords came",
        ErrorCode::RateLimited => "Too many requests came in this minute",
        ErrorCode::Forbidden => "The token does not reach this",
        ErrorCode::OrganizationSuspended => "The organization is suspended",
        ErrorCode::NotFound => "There is no such thing",
        ErrorCode::MethodNotAllowed => "The path does not take this method",
        ErrorCode::AlreadyExists => "The name is taken",
        ErrorCode::InUse => "It is still in use",
        ErrorCode::NotRemovable => "It ends with what it belongs to",
        ErrorCode::TooMany => "There are as many as there may be",
        ErrorCode::QuotaExceeded => "The organization may not use as much",
        ErrorCode::LastOwner => "An organization keeps an owner",
        ErrorCode::NotRotatable => "The token cannot be rotated",
        ErrorCode::NothingDeployed => "Nothing is deployed that this could act upon",
        ErrorCode::NotDeployable => "The release cannot be deployed",
        ErrorCode::AppStopped => "The app is stopped",
        ErrorCode::NotCancelable => "The deployment cannot be canceled any more",
        ErrorCode::AlreadyLive => "What is asked for is live already",
        ErrorCode::BeingRemoved => "The app is being removed",
        ErrorCode::SubnetsExhausted => "The platform has no subnet left",
        ErrorCode::NetworkFull => "The environment's network is too small",
        ErrorCode::Overlap => "The range overlaps another one",
        ErrorCode::PreconditionFailed => "It has changed since it was read",
        ErrorCode::IdempotencyKeyReused => "The idempotency key came with another request",
        ErrorCode::IdempotencyKeyInFlight => {
            "The first request with this idempotency key has no answer yet"
        }
        ErrorCode::TooLarge => "The body is too large",
        ErrorCode::NotAcceptable => "No media type of the answer is accepted",
        ErrorCode::RequestTimeout => "The body did not come in time",
        ErrorCode::UnsupportedMediaType => "The body is not of a media type that is taken",
        ErrorCode::Overloaded => "Too many requests are in progress",
        ErrorCode::LoginsOverloaded => "Too many passwords are waiting to be checked",
        ErrorCode::Unavailable => "A part of the platform does not answer",
        ErrorCode::TimedOut => "The request took too long",
        ErrorCode::Internal => "The platform failed",
    }
}

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Problem(Error);

impl Problem {
    /// The error inside.
    pub(crate) fn error(&self) -> &Error {
        &self.0
    }

    /// The answer to the request of this id.
    pub(crate) fn respond(&self, request_id: &str) -> Response {
        let status = status_of(self.0.code);
        let document = ProblemDocument {
            kind: problems_page::address(self.0.code),
            title: title_of(self.0.code).to_owned(),
            status: status.as_u16(),
            detail: self.0.message.clone(),
            code: Word(self.0.code),
            violations: self.0.violations.iter().map(ViolationObject::from).collect(),
            quota: self.0.excess.map(ExcessObject::from),
            request_id: request_id.to_owned(),
        };
        let mut response = Response::builder()
            .status(status)
            .content_type(MEDIA_TYPE)
            .body(Body::from_string(document.to_json_string()));
        match status {
            StatusCode::UNAUTHORIZED => {
                let headers = response.headers_mut();
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                let seconds = self.0.retry_after.unwrap_or(1);
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            _ => {}
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        status_of(self.0.code)
    }

    fn as_response(&self) -> Response {
        self.respond("")
    }
}

/// Every status that an operation can fail with, for the OpenAPI document; `document` removes
/// those that a given operation cannot.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let mut statuses = BTreeMap::new();
        for code in ErrorCode::ALL {
            // No operation of the document answers this: the router does.
            if *code != ErrorCode::MethodNotAllowed {
                statuses.insert(status_of(*code).as_u16(), title_of(*code));
            }
        }
        let responses = statuses
            .into_iter()
            .map(|(status, description)| MetaResponse {
                description,
                status: Some(status),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: MEDIA_TYPE,
                    schema: ProblemDocument::schema_ref(),
                }],
                headers: match status {
                    401 => vec![text_header("WWW-Authenticate", "`Bearer`")],
                    429 | 503 => vec![text_header("Retry-After", "Seconds to wait")],
                    _ => Vec::new(),
                },
            })
            .collect();
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        ProblemDocument::register(registry);
    }
}

fn text_header(name: &str, description: &str) -> MetaHeader {
    let schema: MetaSchemaRef = String::schema_ref();
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        schema,
    }
}

/// Problem details (RFC 9457).
#[derive(Debug, Object)]
#[oai(rename = "Problem")]
struct ProblemDocument {
    /// Where the code is explained.
    #[oai(rename = "type")]
    kind: String,
    /// What the code means; the same each time.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened this time, and what to do.
    detail: String,
    /// The stable code, for programs.
    code: Word<ErrorCode>,
    /// The fields at fault; empty where no field is.
    violations: Vec<ViolationObject>,
    /// The quota that is too small; only with `quota_exceeded`.
    #[oai(skip_serializing_if_is_none)]
    quota: Option<ExcessObject>,
    /// Finds the request in the platform's log.
    request_id: String,
}

/// One broken rule.
#[derive(Debug, Object)]
#[oai(rename = "Violation")]
struct ViolationObject {
    /// Path of the field, dotted; the name of a parameter; or `body`.
    field: String,
    /// The rule that it breaks.
    rule: String,
}

impl From<&Violation> for ViolationObject {
    fn from(violation: &Violation) -> Self {
        Self { field: violation.field.clone(), rule: violation.rule.clone() }
    }
}

/// What would have been more than a quota.
#[derive(Debug, Object)]
#[oai(rename = "QuotaExcess")]
struct ExcessObject {
    /// Of what.
    name: Word<Quota>,
    /// What the organization may have.
    limit: i64,
    /// What it has.
    used: i64,
    /// What was asked for beyond that.
    asked: i64,
}

impl From<Excess> for ExcessObject {
    fn from(excess: Excess) -> Self {
        let Excess { quota, limit, used, asked } = excess;
        Self { name: Word(quota), limit, used, asked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_error_status_and_its_own_title() {
        let mut titles = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            let status = status_of(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
            assert!(titles.insert(title_of(*code)), "{code}");
        }
    }

    #[tokio::test]
    async fn an_internal_error_says_nothing_internal() {
        let error = Error::internal("password=hunter2 was refused");
        let response = Problem::from(error).respond("req_1");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.content_type(), Some(MEDIA_TYPE));
        let body = response.into_body().into_string().await.unwrap();
        assert!(!body.contains("hunter2"), "{body}");
        assert!(body.contains("req_1"), "{body}");
    }

    #[tokio::test]
    async fn violations_name_field_and_rule() {
        let error = Error::invalid(vec![Violation::new("cpu", "a number from 0.5 to 16")]);
        let body = Problem::from(error).respond("r").into_body();
        let body: serde_json::Value = body.into_json().await.unwrap();
        assert_eq!(body["code"], "invalid");
        assert_eq!(body["type"], "/docs/problems#invalid");
        assert_eq!(body["violations"][0]["field"], "cpu");
        assert_eq!(body["violations"][0]["rule"], "a number from 0.5 to 16");
    }

    #[test]
    fn what_the_client_needs_to_know_is_in_headers() {
        let missing = Error::new(ErrorCode::Unauthenticated, "who?");
        let response = Problem::from(missing).respond("r");
        assert_eq!(response.header(header::WWW_AUTHENTICATE), Some("Bearer"));
        let response = Problem::from(Error::unavailable("x", "y")).respond("r");
        assert_eq!(response.header(header::RETRY_AFTER), Some("1"));
    }
}
