//! Dead letters: what no worker could decode. Operators look at them, put them back once a worker
//! understands them, or throw them away.

use chrono::{DateTime, Utc};
use db::OperatorScope;
use db::dead_letters::dead_letters_end;
use model::Error;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use queue::BrokerError;
use queue::dead::{DeadLetter, Letters};
use validator::Validate;

use super::Tag;
use crate::access::{Access, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::idempotency::Key;
use crate::problem::Problem;

/// How many are shown where the caller does not say.
const SHOWN: u32 = 50;

/// The endpoints of dead letters.
pub(crate) struct DeadLetterEndpoints;

/// The dead letters, as far as they are shown.
#[derive(Debug, Object)]
pub(crate) struct DeadLetterList {
    /// How many there are. The newest 10,000 are kept.
    count: u32,
    /// The oldest of them, oldest first.
    items: Vec<DeadLetterObject>,
}

/// A message that no worker could decode.
#[derive(Debug, Object)]
#[oai(rename = "DeadLetter")]
pub(crate) struct DeadLetterObject {
    /// Its place, 1 for the oldest: what is put back or thrown away is counted from there.
    position: u32,
    /// Why it could not be decoded; `null`: it did not come from a worker.
    error: Option<String>,
    /// What it says, as far as it is text; at most its first 2 KiB.
    payload: String,
    /// Whether there is more of it.
    truncated: bool,
    /// When it became a dead letter.
    since: Option<DateTime<Utc>>,
}

impl From<Letters> for DeadLetterList {
    fn from(Letters { count, oldest }: Letters) -> Self {
        let item = |(position, DeadLetter { error, payload, truncated, since })| DeadLetterObject {
            position,
            error,
            payload,
            truncated,
            since,
        };
        Self { count, items: (1..).zip(oldest).map(item).collect() }
    }
}

/// Which dead letters to put back.
#[derive(Debug, Object, Validate)]
pub(crate) struct DeadLetterReplay {
    /// How many, the oldest first.
    #[oai(validator(minimum(value = "1"), maximum(value = "500")))]
    count: u32,
}

/// How many dead letters were dealt with.
#[derive(Debug, Object)]
pub(crate) struct DeadLettersEnded {
    /// How many: fewer than asked where there were fewer, or where the broker was slow.
    count: u32,
}

/// The answer to who put dead letters back or threw them away.
#[derive(ApiResponse)]
pub(crate) enum DeadLettersDone {
    /// It is done.
    #[oai(status = 200)]
    Done(Json<DeadLettersEnded>),
}

fn answer(count: u32) -> Result<db::Answer, Error> {
    kept(DeadLettersDone::Done(Json(DeadLettersEnded { count })))
}

fn unavailable(error: BrokerError) -> Error {
    Error::unavailable("the broker", error)
}

#[OpenApi(tag = "Tag::Platform")]
impl DeadLetterEndpoints {
    /// List the dead letters
    ///
    /// Messages that no worker could decode. They hold ids, no tenant's data. For operators.
    #[oai(path = "/v1/admin/dead-letters", method = "get", operation_id = "dead_letter_list")]
    async fn list(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
        /// Most items of the page.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
    ) -> Result<Json<DeadLetterList>, Problem> {
        let letters = access.state.dead_letters.list(limit.0.unwrap_or(SHOWN)).await;
        Ok(Json(letters.map_err(unavailable)?.into()))
    }

    /// Put dead letters back
    ///
    /// The oldest go back among the wake-ups, for the workers to read again. A letter leaves its place
    /// only when the broker holds its copy; one that still cannot be decoded comes back. For operators.
    #[oai(
        path = "/v1/admin/dead-letters/replay",
        method = "post",
        operation_id = "dead_letter_replay"
    )]
    async fn replay(
        &self,
        access: Access<action::PlatformOperate, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<DeadLetterReplay>,
    ) -> Result<Done<DeadLettersDone>, Problem> {
        let request = access.request(key.with(&body));
        let state = &access.state;
        let effect =
            async { state.dead_letters.replay(body.value.count).await.map_err(unavailable) };
        let (database, action) = (&state.database, "dead_letters.replay");
        let answered =
            dead_letters_end(database, access.scope, action, &request, effect, answer).await?;
        Ok(Done::of(answered)?)
    }

    /// Throw dead letters away
    ///
    /// The oldest, for good. For operators.
    #[oai(path = "/v1/admin/dead-letters", method = "delete", operation_id = "dead_letter_discard")]
    async fn discard(
        &self,
        access: Access<action::PlatformOperate, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        /// How many, the oldest first.
        #[oai(validator(minimum(value = "1"), maximum(value = "500")))]
        count: Query<u32>,
    ) -> Result<Done<DeadLettersDone>, Problem> {
        let request = access.request(key.alone());
        let state = &access.state;
        let effect = async { state.dead_letters.discard(count.0).await.map_err(unavailable) };
        let (database, action) = (&state.database, "dead_letters.discard");
        let answered =
            dead_letters_end(database, access.scope, action, &request, effect, answer).await?;
        Ok(Done::of(answered)?)
    }
}
