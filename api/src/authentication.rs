//! Authentication: whom a bearer token belongs to. Answers are kept for a second, so that a busy
//! token costs Postgres one look-up a second, and a revoked one works for a second at most.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::tokens::{TokenHolder, token_authenticate};
use model::error::{ErrorCode, chain};
use model::token::{TOKEN_PREFIX, secret_hash};
use model::{Error, Result};
use moka::future::Cache;

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// Most answers that are kept.
const KEPT: u64 = 10_000;
/// Hexadecimal digits of a secret, after its prefix.
const SECRET_DIGITS: usize = 64;

/// Finds the holders of tokens.
pub(crate) struct Authentication {
    database: Database,
    /// By hash: the secrets themselves are not kept. `None`: nobody holds it.
    answers: Cache<[u8; 32], Option<TokenHolder>>,
}

impl Authentication {
    /// Looks tokens up in this database.
    pub(crate) fn new(database: Database) -> Self {
        let answers = Cache::builder().max_capacity(KEPT).time_to_live(BELIEVED).build();
        Self { database, answers }
    }

    /// The holder of this token; an error with code `unauthenticated` where there is none.
    pub(crate) async fn holder(&self, token: &str) -> Result<TokenHolder> {
        // What cannot be one of ours costs no look-up and no place in the cache.
        let digits = token.strip_prefix(TOKEN_PREFIX).unwrap_or_default();
        if digits.len() != SECRET_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unauthenticated());
        }
        let hash = secret_hash(token);
        self.answers
            .try_get_with(hash, token_authenticate(&self.database, &hash))
            .await
            .map_err(again)?
            .ok_or_else(unauthenticated)
    }
}

/// No valid token.
pub(crate) fn unauthenticated() -> Error {
    Error::new(
        ErrorCode::Unauthenticated,
        "send a valid token as `Authorization: Bearer skep_…`; this one is missing, unknown, \
         expired or revoked",
    )
}

/// A failed look-up, for each of the requests that waited for it.
fn again(error: Arc<Error>) -> Error {
    let cause = error.source().map_or_else(|| error.to_string(), chain);
    match error.code {
        ErrorCode::Unavailable => Error::unavailable("the database", cause),
        _ => Error::internal(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_token_is_refused_without_a_look_up() {
        // Nothing listens there: a look-up would end as `unavailable`.
        let url = "postgres://nobody@127.0.0.1:1/none";
        let authentication = Authentication::new(Database::new(url.into(), 1).unwrap());
        for bad in ["", "skep_", "skep_zz", &format!("skep_{}", "x".repeat(64)), &"a".repeat(69)] {
            let error = authentication.holder(bad).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthenticated, "{bad}");
        }
        let error = authentication.holder(&format!("skep_{}", "a".repeat(64))).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unavailable);
    }
}
