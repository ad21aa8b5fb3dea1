//! Email addresses in bodies, in one spelling from here on.

use std::borrow::Cow;

use model::email::{EMAIL_PATTERN, Email, MAX_EMAIL};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

/// An email address.
#[derive(Debug)]
pub(crate) struct EmailText(pub(crate) Email);

impl Type for EmailText {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_email".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            max_length: Some(MAX_EMAIL),
            pattern: Some(EMAIL_PATTERN.into()),
            // Not `format: email` beside it: that is another form, which has no dots side by side.
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for EmailText {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let text = value.as_ref().and_then(Value::as_str).unwrap_or_default();
        text.parse().map(Self).map_err(ParseError::custom)
    }
}

impl ToJSON for EmailText {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}
