//! A segment of a path: a slug or an id. Slugs hold no underscore and ids do, so a text is never
//! both.

use std::str::FromStr;

/// How a caller names a thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment<Id> {
    /// By its id.
    Id(Id),
    /// By its slug (or by a text that names nothing: finding it will fail).
    Slug(String),
}

impl<Id: FromStr> From<&str> for Segment<Id> {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Slug(text.to_owned()), Self::Id)
    }
}
