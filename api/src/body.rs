//! Request bodies: bounded, JSON, checked against the document's schema, then against the rules
//! across fields, then parsed. Whatever is wrong comes out as violations, all of them at once.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use model::Error;
use model::error::{ErrorCode, Violation};
use poem::error::ReadBodyError;
use poem::http::header::{CONTENT_LENGTH, EXPECT};
use poem::{Request, RequestBody};
use poem_openapi::error::ContentTypeError;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::ParseFromJSON;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::Value;
use tokio::time::timeout;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};
use zeroize::Zeroizing;

use crate::document::document;
use crate::json;
use crate::problem::Problem;
use crate::state::State;

/// Most bytes of a body, where it says nothing else.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// The body of a request.
pub(crate) struct Body<T, const MOST: usize = MAX_BODY> {
    /// What it says.
    pub(crate) value: T,
    /// It may hold a secret: wiped.
    bytes: Zeroizing<Vec<u8>>,
}

impl<T> Body<T> {
    /// The bytes that were sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Most bytes of a body that is too large which are read, to be thrown away.
const MAX_DRAIN: usize = 32 * 1024 * 1024;

/// Reads on, so that a client that is still writing gets to read the answer: a connection that is
/// closed on unread bytes is reset, and the answer with it.
async fn drain(body: poem::Body) {
    let mut left = MAX_DRAIN;
    let mut chunks = pin!(body.into_bytes_stream());
    while let Some(Ok(chunk)) = chunks.next().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}

/// The whole body, where it is not too large.
async fn bytes(
    request: &Request,
    body: &mut RequestBody,
    most: usize,
) -> poem::Result<Zeroizing<Vec<u8>>> {
    let body = body.take()?;
    let length = request.header(CONTENT_LENGTH).and_then(|text| text.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        // Who expects to be told whether to send it has sent nothing, and would begin to.
        if request.header(EXPECT).is_none() {
            drain(body).await;
        }
        return Err(too_large(most).into());
    }
    match body.into_bytes_limit(most).await {
        Ok(bytes) => Ok(Zeroizing::new(bytes.to_vec())),
        Err(ReadBodyError::PayloadTooLarge) => Err(too_large(most).into()),
        Err(error) => Err(error.into()),
    }
}

fn too_large(most: usize) -> Problem {
    let message = format!("a body has at most {} KiB here", most / 1024);
    Error::new(ErrorCode::TooLarge, message).into()
}

impl<'a, T: ParseFromJSON + Validate, const MOST: usize> ApiExtractor<'a> for Body<T, MOST> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: Json::<T>::CONTENT_TYPE,
                schema: T::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let state = request.data::<Arc<State>>().ok_or_else(|| {
            Problem::from(Error::internal("a request without the process's state"))
        })?;
        let bytes =
            timeout(state.patience, bytes(request, body, MOST)).await.unwrap_or_else(|_| {
                let message =
                    format!("the body did not come within {} s", state.patience.as_secs());
                Err(Problem::from(Error::new(ErrorCode::RequestTimeout, message)).into())
            })?;
        if bytes.is_empty() {
            // Where every field has a default, `curl -X POST` without a body is a whole request.
            let value = read(Value::Object(serde_json::Map::new())).map_err(Problem::from)?;
            return Ok(Self { value, bytes });
        }
        match request.content_type() {
            Some(media_type) if Json::<T>::check_content_type(media_type) => {}
            Some(_) | None => return Err(ContentTypeError::ExpectContentType.into()),
        }
        let json = json::parse(&bytes)
            .map_err(|rule| Problem::from(Error::invalid(vec![Violation::new("body", rule)])))?;
        Ok(Self { value: read(json).map_err(Problem::from)?, bytes })
    }
}

/// Reads a value that came from outside.
pub(crate) fn read<T: ParseFromJSON + Validate>(json: Value) -> Result<T, Error> {
    check::<T>(&json)?;
    read_checked(json)
}

/// Checks a value against the document's schema of `T`.
pub(crate) fn check<T: ParseFromJSON>(json: &Value) -> Result<(), Error> {
    let name = T::name();
    let schema = document().schema(&name).ok_or_else(|| {
        Error::internal(format!("the schema of {name} is missing from the document"))
    })?;
    let violations = schema.check(json);
    if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
}

/// Reads a value that fits its schema; the rules across its fields are still to be checked.
pub(crate) fn read_checked<T: ParseFromJSON + Validate>(json: Value) -> Result<T, Error> {
    let name = T::name();
    let value = T::parse_from_json(Some(json)).map_err(|_| {
        // The parser's text may repeat the value, which may be a password: it is not told.
        tracing::warn!(schema = %name, "a body passed the schema's check and not the parser");
        Error::invalid(vec![Violation::new("body", "must fit its schema in /openapi.json")])
    })?;
    value.validate().map_err(|errors| Error::invalid(violations_of(errors)))?;
    Ok(value)
}

/// The rules that were broken. Rules carry their field's path and a text without the value:
/// `ValidationErrors` itself would print the value.
fn violations_of(errors: ValidationErrors) -> Vec<Violation> {
    let mut found = Vec::new();
    for (field, kind) in errors.into_errors() {
        match kind {
            ValidationErrorsKind::Field(rules) => found.extend(rules.into_iter().map(|rule| {
                let words = rule.message.unwrap_or(rule.code);
                Violation::new(field.clone(), words)
            })),
            ValidationErrorsKind::Struct(inner) => found.extend(violations_of(*inner)),
            ValidationErrorsKind::List(list) => {
                found.extend(list.into_values().flat_map(|inner| violations_of(*inner)));
            }
        }
    }
    found.sort_by(|one, other| one.field.cmp(&other.field));
    found
}
