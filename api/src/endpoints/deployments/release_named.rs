//! The release of a rollback: a number, or a word for one.

use std::borrow::Cow;

use model::release::RollbackTarget;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

/// The words.
const WORDS: &[(&str, RollbackTarget)] =
    &[("previous", RollbackTarget::Previous), ("stable", RollbackTarget::Stable)];

/// Which release a rollback makes live again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReleaseNamed(pub(crate) RollbackTarget);

impl Default for ReleaseNamed {
    fn default() -> Self {
        Self(RollbackTarget::Previous)
    }
}

impl Type for ReleaseNamed {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "ReleaseNamed".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let number =
            MetaSchema { minimum: Some(1.0), ..MetaSchema::new_with_format("integer", "int32") };
        let word = MetaSchema {
            enum_items: WORDS.iter().map(|(word, _)| Value::from(*word)).collect(),
            ..MetaSchema::new("string")
        };
        let either = [number, word].map(|schema| MetaSchemaRef::Inline(Box::new(schema)));
        MetaSchemaRef::Inline(Box::new(MetaSchema { one_of: either.into(), ..MetaSchema::ANY }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for ReleaseNamed {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let target = match &value {
            Some(Value::Number(number)) => number
                .as_i64()
                .and_then(|number| i32::try_from(number).ok())
                .filter(|number| *number > 0)
                .map(RollbackTarget::Number),
            Some(Value::String(text)) => {
                WORDS.iter().find(|(word, _)| word == text).map(|(_, target)| *target)
            }
            _ => None,
        };
        target.map(Self).ok_or_else(ParseError::expected_input)
    }
}

impl ToJSON for ReleaseNamed {
    fn to_json(&self) -> Option<Value> {
        Some(match self.0 {
            RollbackTarget::Number(number) => number.into(),
            RollbackTarget::Previous | RollbackTarget::Stable => {
                let word = WORDS.iter().find(|(_, target)| *target == self.0)?.0;
                word.into()
            }
        })
    }
}
