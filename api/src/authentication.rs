//! Authentication: whom a bearer token belongs to, and what it is in the organization of the path.
//! Answers are kept for a second, so that a busy token costs Postgres one look-up a second, and
//! forgotten as soon as Postgres tells of a change: a revoked token works for a second at most, and in
//! most cases not at all.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use db::credentials::{Holder, credential_find};
use db::{Database, Segment};
use model::error::{ErrorCode, chain};
use model::id::OrganizationId;
use model::token::{is_secret, secret_hash};
use model::{Error, Result};
use moka::future::Cache;

use crate::measures;
use crate::uses::Uses;

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// Most answers that are kept.
const KEPT: u64 = 10_000;

/// By hash (the secrets themselves are not kept), and by organization.
type Question = ([u8; 32], Option<Segment<OrganizationId>>);

/// Finds the holders of tokens.
#[derive(Clone)]
pub(crate) struct Authentication {
    database: Database,
    uses: Uses,
    /// `None`: nobody holds it.
    answers: Cache<Question, Option<Arc<Holder>>>,
}

impl Authentication {
    /// Looks tokens up in this database, and tells of those that are used.
    pub(crate) fn new(database: Database, uses: Uses) -> Self {
        let answers = Cache::builder().max_capacity(KEPT).time_to_live(BELIEVED).build();
        Self { database, uses, answers }
    }

    /// The holder of this token; an error with code `unauthenticated` where there is none.
    pub(crate) async fn holder(
        &self,
        token: &str,
        organization: Option<&Segment<OrganizationId>>,
    ) -> Result<Arc<Holder>> {
        // What cannot be one of ours costs no look-up and no place in the cache.
        if !is_secret(token) {
            return Err(unauthenticated());
        }
        self.holder_of(secret_hash(token), organization).await
    }

    /// The holder of the token of this hash.
    pub(crate) async fn holder_of(
        &self,
        hash: [u8; 32],
        organization: Option<&Segment<OrganizationId>>,
    ) -> Result<Arc<Holder>> {
        measures::token_checked();
        let question = (hash, organization.cloned());
        let look_up = self.look_up(&hash, organization);
        let answer = self.answers.try_get_with_by_ref(&question, look_up).await.map_err(again)?;
        // Whoever makes an organization, or is let into one, finds it there at once: nothing tells of that.
        if let Some(holder) = &answer
            && organization.is_some()
            && !holder.is_somebody()
        {
            self.answers.invalidate(&question).await;
        }
        answer.ok_or_else(unauthenticated)
    }

    /// Forgets every answer: something about a holder has changed.
    pub(crate) fn forget(&self) {
        self.answers.invalidate_all();
    }

    async fn look_up(
        &self,
        hash: &[u8; 32],
        organization: Option<&Segment<OrganizationId>>,
    ) -> Result<Option<Arc<Holder>>> {
        measures::token_looked_up();
        let found = credential_find(&self.database, hash, organization).await?;
        if let Some(holder) = &found
            && holder.is_used_lately != Some(true)
        {
            self.uses.tell(holder.token);
        }
        Ok(found.map(Arc::new))
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
    use model::token::{SECRET_BYTES, secret_text};
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn what_is_no_token_is_refused_without_a_look_up() {
        // Nothing listens there: a look-up would end as `unavailable`.
        let url = "postgres://nobody@127.0.0.1:1/none";
        let database = Database::new(url.into(), 1).unwrap();
        let uses = Uses::start(database.clone(), CancellationToken::new());
        let authentication = Authentication::new(database, uses);
        let good = secret_text("org", &[7; SECRET_BYTES]);
        for bad in ["", "skep_", "skep_zz", &"a".repeat(69), &good.replacen('7', "8", 1)] {
            let error = authentication.holder(bad, None).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthenticated, "{bad}");
        }
        let error = authentication.holder(&good, None).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unavailable);
    }
}
