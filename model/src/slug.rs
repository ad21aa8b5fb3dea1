//! Slugs: the names that people type. A slug is also a DNS label inside the environment's
//! network, so its rules are DNS's, and shorter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest slug, in characters. Swarm's names end at 63 and carry more than the slug.
pub const MAX_SLUG: usize = 40;

/// The rule, as people read it in errors and as the OpenAPI document has it.
pub const SLUG_RULE: &str =
    "1 to 40 of a-z, 0-9 and hyphen; starts with a letter, does not end with a hyphen";

/// The same rule as a regular expression (for the OpenAPI document).
pub const SLUG_PATTERN: &str = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$";

/// A checked slug.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

/// The text was no slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{SLUG_RULE}")]
pub struct InvalidSlug;

impl Slug {
    /// The text of the slug.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Slug {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        let bytes = text.as_bytes();
        let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let fits = (1..=MAX_SLUG).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes[bytes.len() - 1] != b'-'
            && bytes.iter().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidSlug) }
    }
}

impl TryFrom<String> for Slug {
    type Error = InvalidSlug;
    fn try_from(text: String) -> Result<Self, InvalidSlug> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_slug() {
        for good in ["a", "web", "web-2", &"a".repeat(40)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "-web", "web-", "Web", "2web", "we_b", "wéb", &"a".repeat(41), "a.b"] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }
}
