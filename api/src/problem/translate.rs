//! What the framework refuses by itself, in our words: its own texts name Rust types and repeat
//! the values that were sent.

use model::Error;
use model::error::{ErrorCode, Violation};
use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError};
use poem::http::StatusCode;
use poem_openapi::error::{AuthorizationError, ContentTypeError, ParseParamError, ParsePathError};

use super::Problem;
use crate::body::MAX_BODY;
use crate::document::document;

/// The problem that a failed request is answered with.
pub(crate) fn translate(error: poem::Error) -> Problem {
    let error = match error.downcast::<Problem>() {
        Ok(problem) => return problem,
        Err(error) => error,
    };
    if let Some(parameter) = error.downcast_ref::<ParseParamError>() {
        return broken(parameter.name).into();
    }
    if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
        return Error::new(ErrorCode::NotFound, "no such path; /docs lists them").into();
    }
    if error.is::<MethodNotAllowedError>() {
        let message = "this path does not take this method; the header Allow lists those it takes";
        return Error::new(ErrorCode::MethodNotAllowed, message).into();
    }
    if error.is::<AuthorizationError>() {
        return crate::authentication::unauthenticated().into();
    }
    if error.is::<ContentTypeError>() {
        let message = "the body must be JSON: send Content-Type: application/json";
        return Error::new(ErrorCode::UnsupportedMediaType, message).into();
    }
    match error.downcast_ref::<ReadBodyError>() {
        Some(ReadBodyError::PayloadTooLarge) => {
            let message = format!("a body has at most {} KiB", MAX_BODY / 1024);
            return Error::new(ErrorCode::TooLarge, message).into();
        }
        Some(ReadBodyError::Io(_)) => {
            let message = "the body ended before it was complete";
            return Error::new(ErrorCode::Invalid, message).into();
        }
        Some(ReadBodyError::Utf8(_) | ReadBodyError::BodyHasBeenTaken) | None => {}
    }
    match error.status() {
        StatusCode::NOT_FOUND => Error::not_found("path").into(),
        status if status.is_client_error() => {
            Error::new(ErrorCode::Invalid, "the request cannot be read").into()
        }
        _ => Error::internal(error.to_string()).into(),
    }
}

/// A parameter that does not fit its schema.
fn broken(parameter: &str) -> Error {
    let rule = document().parameter_rule(parameter).unwrap_or("does not fit its schema");
    Error::invalid(vec![Violation::new(parameter, rule)])
}
