//! The header `Idempotency-Key`: makes a repeated request the same request.
//!
//! Every POST takes one, and a test of the document holds them to it.
//!
//! poem-openapi's own header parameters skip a value that is not ASCII, as if it had not been sent:
//! the request would be taken twice by a caller who believes otherwise.

use db::IdempotencyKey;
use model::Error;
use model::error::Violation;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use sha2::{Digest as _, Sha256};

use crate::body::Body;
use crate::problem::Problem;

/// Name of the header.
pub(crate) const HEADER: &str = "Idempotency-Key";
/// Longest key, in characters.
const MAX_LENGTH: usize = 255;
/// What a key is.
const PATTERN: &str = "^[!-~]*$";
const RULE: &str = "given once: 1 to 255 visible ASCII characters";

/// The key of a request, where it came with one.
#[derive(Debug)]
pub(crate) struct Key(Option<Given>);

#[derive(Debug)]
struct Given {
    key: String,
    /// Method and path.
    route: String,
    query: String,
}

impl Key {
    /// The key of a request that has this body.
    pub(crate) fn with<T>(self, body: &Body<T>) -> Option<IdempotencyKey> {
        self.of(body.bytes())
    }

    /// The key of a request that has no body.
    pub(crate) fn alone(self) -> Option<IdempotencyKey> {
        self.of(&[])
    }

    /// The key of a request that says this: for a body with a password, which must be hashed slowly or not at
    /// all.
    pub(crate) fn saying(self, said: &str) -> Option<IdempotencyKey> {
        self.of(said.as_bytes())
    }

    fn of(self, body: &[u8]) -> Option<IdempotencyKey> {
        let Given { key, route, query } = self.0?;
        let hash = Sha256::new().chain_update(query).chain_update([0]).chain_update(body);
        Some(IdempotencyKey { route, key, request_hash: hash.finalize().into() })
    }
}

impl<'a> ApiExtractor<'a> for Key {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = String;
    type ParamRawType = String;

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(1),
            max_length: Some(MAX_LENGTH),
            pattern: Some(PATTERN.into()),
            ..MetaSchema::new("string")
        })))
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<String>,
    ) -> poem::Result<Self> {
        let mut given = request.headers().get_all(HEADER).iter();
        match (given.next(), given.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) if fits(value.as_bytes()) => {
                let uri = request.uri();
                Ok(Self(value.to_str().ok().map(|key| Given {
                    key: key.to_owned(),
                    route: format!("{} {}", request.method(), uri.path()),
                    query: uri.query().unwrap_or_default().to_owned(),
                })))
            }
            _ => Err(Problem::from(Error::invalid(vec![Violation::new(HEADER, RULE)])).into()),
        }
    }
}

fn fits(key: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    async fn key(values: &[&[u8]]) -> Result<Option<String>, poem::Error> {
        let mut request = Request::default();
        for value in values {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(HEADER, value);
        }
        let (request, mut body) = request.split();
        Key::from_request(&request, &mut body, ExtractParamOptions::default())
            .await
            .map(|key| key.0.map(|given| given.key))
    }

    #[tokio::test]
    async fn a_key_is_taken_or_refused_and_never_skipped() {
        assert_eq!(key(&[]).await.unwrap(), None);
        assert_eq!(key(&[b"k-1"]).await.unwrap(), Some("k-1".into()));
        let long = [b'k'; 256];
        for bad in [&[&b""[..]][..], &[b"a b"], &["é".as_bytes()], &[&long], &[b"a", b"b"]] {
            assert!(key(bad).await.is_err(), "{bad:?}");
        }
    }
}
