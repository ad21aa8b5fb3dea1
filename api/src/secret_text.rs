//! Texts in bodies that are secrets: passwords, what works once, and values that are to be sealed. From the parser on they are in a type
//! that cannot be printed, and no answer can hold one.

use std::borrow::Cow;

use model::password::{MAX_PASSWORD, MIN_PASSWORD};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use secrecy::SecretString;
use serde_json::Value;

/// A secret of at least and at most so many characters.
#[derive(Debug)]
pub(crate) struct SecretText<const LEAST: usize, const MOST: usize = MAX_PASSWORD>(
    pub(crate) SecretString,
);

/// A secret that is compared with what there is.
pub(crate) type Given = SecretText<1>;
/// A password that is to be set.
pub(crate) type NewPassword = SecretText<MIN_PASSWORD>;

impl<const LEAST: usize, const MOST: usize> Type for SecretText<LEAST, MOST> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_password".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(LEAST),
            max_length: Some(MOST),
            ..MetaSchema::new_with_format("string", "password")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<const LEAST: usize, const MOST: usize> ParseFromJSON for SecretText<LEAST, MOST> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Ok(Self(text.into())),
            _ => Err(ParseError::expected_input()),
        }
    }
}

impl<const LEAST: usize, const MOST: usize> ToJSON for SecretText<LEAST, MOST> {
    fn to_json(&self) -> Option<Value> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_printed() {
        let text = NewPassword::parse_from_json(Some("correct horse".into())).unwrap();
        assert!(!format!("{text:?}").contains("horse"));
        assert_eq!(text.to_json(), None);
    }
}
