//! Entity tags (RFC 9110, section 8.8.3) and the headers that ask by them.
//!
//! The tag of an app is `"{version}.{form}"`: `version` changes with what a request can change of it,
//! `form` with anything that the answer shows. `If-None-Match` compares the whole. `If-Match` compares
//! the version alone: what a worker has observed since must not refuse a change, and it is nothing that
//! the change could undo.
//!
//! The headers are read here and not by poem-openapi, which skips a value that is not ASCII as if it
//! had not been sent: the condition would be dropped for a caller who relies on it.

use db::Expected;
use model::Error;
use model::error::Violation;
use poem::http::{HeaderName, header};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;
use crate::written::Written;

/// What the headers look like.
pub(crate) const PATTERN: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;
/// One that a GET could have answered.
const EXAMPLE: &str = r#""17.4f0c9a1be2d35768""#;
/// What the headers hold.
const RULE: &str = "entity tags as a GET answered them in `ETag`, separated by commas, or *";
/// Most tags of a request.
const MOST_TAGS: usize = 32;

/// The value as it is answered, and the tag of its bytes as a form of the thing in this version.
pub(crate) fn tagged<T: Serialize>(
    value: &T,
    version: &str,
) -> Result<(Written<T>, String), Error> {
    let written = Written::of(value)?;
    let hash: [u8; 32] = Sha256::digest(written.text()).into();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    let tag = format!("\"{version}.{:016x}\"", u64::from_be_bytes(first));
    Ok((written, tag))
}

/// `If-Match`: the change is meant for the thing as these tags name it.
#[derive(Debug)]
pub(crate) struct IfMatch(Expected);

impl IfMatch {
    /// The versions that the tags name.
    pub(crate) fn expected(self) -> Expected {
        self.0
    }
}

/// `If-None-Match`: the answer is wanted unless it is one that these tags name.
#[derive(Debug)]
pub(crate) struct IfNoneMatch(Tags);

impl IfNoneMatch {
    /// Whether the caller has what this tag names.
    pub(crate) fn has(&self, tag: &str) -> bool {
        match &self.0 {
            Tags::None => false,
            Tags::Any => true,
            Tags::Some(tags) => tags.iter().any(|known| known.tag == tag),
        }
    }
}

/// The tags of a header.
#[derive(Debug, PartialEq)]
enum Tags {
    None,
    Any,
    Some(Vec<Tag>),
}

#[derive(Debug, PartialEq)]
struct Tag {
    weak: bool,
    /// With its quotation marks.
    tag: String,
}

impl Tags {
    fn of(request: &Request, name: &HeaderName) -> Result<Self, Problem> {
        let broken = || Error::invalid(vec![Violation::new(title(name), RULE)]);
        let mut tags = Vec::new();
        for value in request.headers().get_all(name) {
            let text = value.to_str().map_err(|_| broken())?;
            if text.trim() == "*" {
                return Ok(Self::Any);
            }
            tags.extend(read(text).ok_or_else(broken)?);
        }
        match tags.len() {
            0 if request.headers().contains_key(name) => Err(broken().into()),
            0 => Ok(Self::None),
            1..=MOST_TAGS => Ok(Self::Some(tags)),
            _ => Err(broken().into()),
        }
    }
}

/// The tags of a list; `None` where it is no such list.
fn read(text: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let strong = rest.strip_prefix("W/");
        let (weak, quoted) = (strong.is_some(), strong.unwrap_or(rest));
        // A tag may hold a comma, but no quotation mark.
        let end = quoted.strip_prefix('"')?.find('"')?;
        let (tag, after) = quoted.split_at(end + 2);
        if !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        tags.push(Tag { weak, tag: tag.to_owned() });
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(tags)
}

/// The version in a tag of ours.
fn version(tag: &str) -> String {
    tag.trim_matches('"').split('.').next().unwrap_or_default().to_owned()
}

fn title(name: &HeaderName) -> &'static str {
    if name == header::IF_MATCH { "If-Match" } else { "If-None-Match" }
}

macro_rules! header_extractor {
    ($type:ty, $header:expr, $of:expr) => {
        impl<'a> ApiExtractor<'a> for $type {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
            type ParamType = String;
            type ParamRawType = String;

            fn param_in() -> Option<MetaParamIn> {
                Some(MetaParamIn::Header)
            }

            fn param_schema_ref() -> Option<MetaSchemaRef> {
                Some(MetaSchemaRef::Inline(Box::new(MetaSchema {
                    min_length: Some(1),
                    pattern: Some(PATTERN.into()),
                    example: Some(EXAMPLE.into()),
                    ..MetaSchema::new("string")
                })))
            }

            async fn from_request(
                request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<String>,
            ) -> poem::Result<Self> {
                Ok($of(Tags::of(request, &$header)?))
            }
        }
    };
}

header_extractor!(IfNoneMatch, header::IF_NONE_MATCH, IfNoneMatch);
header_extractor!(IfMatch, header::IF_MATCH, |tags| IfMatch(match tags {
    // What is not there at all is not found, whatever was expected.
    Tags::None | Tags::Any => Expected::Any,
    // A weak tag says that two forms are much the same: not enough to change one (RFC 9110, 13.1.1).
    Tags::Some(tags) => Expected::OneOf(
        tags.into_iter().filter(|tag| !tag.weak).map(|tag| version(&tag.tag)).collect()
    ),
}));

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    async fn expected(values: &[&[u8]]) -> Result<Expected, poem::Error> {
        let mut request = Request::default();
        for value in values {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(header::IF_MATCH, value);
        }
        let (request, mut body) = request.split();
        IfMatch::from_request(&request, &mut body, ExtractParamOptions::default())
            .await
            .map(IfMatch::expected)
    }

    fn one_of(versions: &[&str]) -> Expected {
        Expected::OneOf(versions.iter().map(|version| (*version).to_owned()).collect())
    }

    #[tokio::test]
    async fn a_condition_is_taken_or_refused_and_never_skipped() {
        assert_eq!(expected(&[]).await.unwrap(), Expected::Any);
        assert_eq!(expected(&[b"*"]).await.unwrap(), Expected::Any);
        assert_eq!(expected(&[br#""a.1""#]).await.unwrap(), one_of(&["a"]));
        let many: [&[u8]; 2] = [br#""a.1" , "b,c.2""#, br#""d""#];
        assert_eq!(expected(&many).await.unwrap(), one_of(&["a", "b,c", "d"]));
        assert_eq!(expected(&[br#"W/"a.1""#]).await.unwrap(), one_of(&[]), "weak: matches nothing");
        for bad in [&b""[..], b"a", br#""a"#, br#""a" "b""#, br#""a b""#, "\"ä\"".as_bytes(), b","]
        {
            assert!(expected(&[bad]).await.is_err(), "{bad:?}");
        }
        let endless = vec![r#""a""#; MOST_TAGS + 1].join(",");
        assert!(expected(&[endless.as_bytes()]).await.is_err());
    }

    #[test]
    fn what_the_caller_has_is_known_by_its_whole_tag() {
        let given = |text: &str| IfNoneMatch(Tags::Some(read(text).unwrap()));
        assert!(given(r#""a.1""#).has(r#""a.1""#));
        assert!(given(r#""b.1", W/"a.1""#).has(r#""a.1""#), "weakly compared");
        assert!(!given(r#""a.2""#).has(r#""a.1""#));
        assert!(IfNoneMatch(Tags::Any).has(r#""a.1""#));
        assert!(!IfNoneMatch(Tags::None).has(r#""a.1""#));
    }

    #[test]
    fn a_tag_names_version_and_bytes() {
        let (_, tag) = tagged(&"one", "v").unwrap();
        assert!(tag.starts_with("\"v.") && tag.ends_with('"'), "{tag}");
        assert_ne!(tag, tagged(&"other", "v").unwrap().1);
        assert_eq!(version(&tag), "v");
    }
}
