//! Requests that change something: each is done once for its idempotency key, written into the audit
//! log, and answered again with what it was answered.
//!
//! Key, answer and audit row are committed with the change itself, so that a crash leaves all of
//! them or none. An [`Answered`] can be had from here only: a change that returns one has been
//! through `begin` and `finish` of its [`Request`].
//!
//! Kept answers are out of the API's reach but for two functions of Postgres (migration `kept_answers`): one gives the
//! answer to this credential, route and key, one keeps it, for 24 hours.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Jsonb, Nullable, SmallInt, Text, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::app::App;
use model::error::ErrorCode;
use model::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::audit::{Mutation, audit_insert};
use crate::failure::Failure;
use crate::pool::Database;
use crate::prepared::Prepared;
use crate::scope::{Actor, Credential};

/// What makes a repeated request the same request. It holds for a token, or what is shown in its place, and
/// for 24 hours.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// Method and path.
    pub route: String,
    /// The caller's key.
    pub key: String,
    /// SHA-256 of everything else that the request says.
    pub request_hash: [u8; 32],
}

/// A request that changes something.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub actor: Actor,
    /// Its key; `None`: repeated, it is another request.
    pub key: Option<IdempotencyKey>,
    /// What it is meant to change.
    pub expected: Expected,
}

/// Which version of an app a request is meant to change. Checked once the app is locked, so that of
/// two who read the same version one is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is by now.
    #[default]
    Any,
    /// One of these versions ([`App::version`]).
    OneOf(Vec<String>),
}

impl Expected {
    pub(crate) fn check(&self, app: &App) -> Result<()> {
        let Self::OneOf(versions) = self else { return Ok(()) };
        if versions.contains(&app.version()?) {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::PreconditionFailed,
            format!(
                "the app {} has changed since you read it, and nothing was done: read it again, see \
                 whether your change still fits, and repeat it with the new ETag as If-Match",
                app.slug
            ),
        ))
    }
}

/// What a request is answered with once its change is committed.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers that matter to the caller, by name.
    pub headers: BTreeMap<String, String>,
    /// The body. It is kept, so no secret may be in it.
    pub body: String,
    /// The body with a secret that is shown once: sent in the place of `body`, and never kept.
    pub shown_once: Option<SecretString>,
}

/// The answer to a request that was done, now or before.
#[derive(Debug, Clone)]
pub struct Answered {
    answer: Answer,
    replayed: bool,
}

impl Answered {
    /// The status.
    pub const fn status(&self) -> u16 {
        self.answer.status
    }

    /// The headers.
    pub const fn headers(&self) -> &BTreeMap<String, String> {
        &self.answer.headers
    }

    /// The body to send.
    pub fn into_body(self) -> String {
        match self.answer.shown_once {
            Some(body) => body.expose_secret().to_owned(),
            None => self.answer.body,
        }
    }

    /// Whether an earlier request with the same key was done, and this one changed nothing.
    pub const fn replayed(&self) -> bool {
        self.replayed
    }
}

/// What a secret that works once leads to.
pub enum Shown<T> {
    /// What it can be used for.
    Now(T),
    /// It was used by this very request, which is answered again.
    Before(Answered),
}

/// What is kept under a key.
#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Bool)]
    alone: bool,
    #[diesel(sql_type = Nullable<Binary>)]
    request_hash: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    status: Option<i16>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    headers: Option<serde_json::Value>,
    #[diesel(sql_type = Nullable<Text>)]
    body: Option<String>,
}

/// Whether the answer is kept now.
#[derive(QueryableByName)]
struct Keeping {
    #[diesel(sql_type = Bool)]
    is_kept: bool,
}

impl Request {
    /// The same, of somebody who has shown what belongs to this id, in the place of a token.
    pub(crate) fn by(&self, id: uuid::Uuid) -> Self {
        let actor = Actor { credential: Credential::Other(id), ..self.actor.clone() };
        Self { actor, ..self.clone() }
    }

    /// The answer to an earlier request with the same key. For what is used up by the first one: a repetition
    /// has to be answered before it is refused.
    pub(crate) async fn earlier(&self, database: &Database) -> Result<Option<Answered>> {
        let Some(key) = &self.key else { return Ok(None) };
        let mut connection = database.connection().await?;
        self.look(&mut connection, key, "$4 IS NOT NULL").await?.answered(key)
    }

    /// The first statement of the change's transaction. `Some`: an earlier request had the key, and
    /// this is its answer. Refused while that one is still in flight.
    pub(crate) async fn begin(
        &self,
        connection: &mut AsyncPgConnection,
    ) -> Result<Option<Answered>, Failure> {
        let Some(key) = &self.key else { return Ok(None) };
        // The lock ends with the transaction, whichever way it ends. To wait for it would hold a
        // connection for each impatient repetition.
        let kept = self.look(connection, key, "pg_try_advisory_xact_lock($4)").await?;
        match kept.answered(key)? {
            None if !kept.alone => Err(in_flight().into()),
            found => Ok(found),
        }
    }

    /// The last statement of the change's transaction: its audit row, and its answer under its key.
    pub(crate) async fn finish(
        &self,
        connection: &mut AsyncPgConnection,
        mutation: Mutation<'_>,
        answer: Answer,
    ) -> Result<Answered, Failure> {
        match &self.key {
            None => audit_insert(connection, &self.actor, mutation).await?,
            Some(key) => self.keep(connection, key, mutation, &answer).await?,
        }
        Ok(Answered { answer, replayed: false })
    }

    /// What the transaction has led to. A request that lost a race to its twin, which committed
    /// after this one had looked for it, is answered as its twin was.
    pub(crate) async fn settle(
        &self,
        database: &Database,
        outcome: Result<Answered, Failure>,
    ) -> Result<Answered> {
        let error = match (outcome, &self.key) {
            (Ok(answered), _) => return Ok(answered),
            (Err(Failure::Refused(error)), Some(_)) => error,
            (Err(failure), _) => return Err(failure.into()),
        };
        if error.code == ErrorCode::IdempotencyKeyReused {
            return Err(error);
        }
        self.earlier(database).await?.ok_or(error)
    }

    /// Looks for what is kept under the key; `alone` is evaluated besides.
    async fn look(
        &self,
        connection: &mut AsyncPgConnection,
        key: &IdempotencyKey,
        alone: &str,
    ) -> Result<Kept, Failure> {
        let query = format!(
            "SELECT {alone} AS alone, kept.request_hash, kept.status, kept.headers, kept.body
             FROM (VALUES (true)) AS one LEFT JOIN kept_answer($1, $2, $3) AS kept ON true"
        );
        let query = diesel::sql_query(query)
            .bind::<Uuid, _>(self.actor.credential.id())
            .bind::<Text, _>(&key.route)
            .bind::<Text, _>(&key.key)
            .bind::<BigInt, _>(self.lock_of(key));
        Ok(Prepared(query).get_result(connection).await?)
    }

    /// One statement: each is a round trip of every accept.
    async fn keep(
        &self,
        connection: &mut AsyncPgConnection,
        key: &IdempotencyKey,
        mutation: Mutation<'_>,
        answer: &Answer,
    ) -> Result<(), Failure> {
        let headers = serde_json::to_value(&answer.headers).map_err(Error::internal)?;
        let deployment = mutation.deployment;
        let entry = mutation.entry(&self.actor);
        let query = diesel::sql_query(
            "WITH audited AS (
                 INSERT INTO audit_log (id, organization_id, token_id, action, object, before, after,
                     request_id, address, user_id, result)
                 VALUES ($9, $10, $17, $11, $12, $13, $14, $15, $16, $18, $19)
             )
             SELECT keep_answer($1, $2, $3, $4, $5, $6, $7, $8) AS is_kept",
        )
            .bind::<Uuid, _>(self.actor.credential.id())
            .bind::<Text, _>(&key.route)
            .bind::<Text, _>(&key.key)
            .bind::<Binary, _>(key.request_hash.as_slice())
            .bind::<Nullable<Uuid>, _>(deployment)
            .bind::<SmallInt, _>(i16::try_from(answer.status).map_err(Error::internal)?)
            .bind::<Jsonb, _>(headers)
            .bind::<Text, _>(&answer.body)
            .bind::<Uuid, _>(entry.id)
            .bind::<Nullable<Uuid>, _>(entry.organization_id)
            .bind::<Text, _>(entry.action)
            .bind::<Text, _>(entry.object)
            .bind::<Nullable<Jsonb>, _>(entry.before)
            .bind::<Nullable<Jsonb>, _>(entry.after)
            .bind::<Text, _>(entry.request_id)
            .bind::<Nullable<Text>, _>(entry.address)
            .bind::<Nullable<Uuid>, _>(entry.token_id)
            .bind::<Nullable<Uuid>, _>(entry.user_id)
            .bind::<Text, _>(entry.result);
        let Keeping { is_kept } = Prepared(query).get_result(connection).await?;
        // Not: a twin committed after `begin` had looked. All of this one is taken back.
        if is_kept { Ok(()) } else { Err(in_flight().into()) }
    }

    /// The advisory lock that says that a request with this key is in flight.
    fn lock_of(&self, key: &IdempotencyKey) -> i64 {
        let mut hash = Sha256::new();
        for part in [self.actor.credential.id().to_string().as_str(), &key.route, &key.key] {
            hash.update(part);
            // None of them holds one, so no two keys are the same bytes.
            hash.update([0]);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        i64::from_be_bytes(first)
    }
}

impl Kept {
    /// The answer that is kept; refused where it is another request's.
    fn answered(&self, key: &IdempotencyKey) -> Result<Option<Answered>> {
        let Some(hash) = &self.request_hash else { return Ok(None) };
        if hash.as_slice() != key.request_hash {
            return Err(Error::new(
                ErrorCode::IdempotencyKeyReused,
                "this Idempotency-Key came before with another body; use a new key for a new request",
            ));
        }
        let (Some(status), Some(headers), Some(body)) = (self.status, &self.headers, &self.body)
        else {
            return Err(Error::new(
                ErrorCode::IdempotencyKeyInFlight,
                "this request was accepted by an older version of the platform during its upgrade, \
                 which kept no answer to repeat; read the app's newest deployment instead",
            ));
        };
        let answer = Answer {
            status: u16::try_from(status).map_err(Error::internal)?,
            headers: serde_json::from_value(headers.clone()).map_err(Error::internal)?,
            body: body.clone(),
            shown_once: None,
        };
        Ok(Some(Answered { answer, replayed: true }))
    }
}

fn in_flight() -> Error {
    Error::new(
        ErrorCode::IdempotencyKeyInFlight,
        "a request with this Idempotency-Key is still in flight; repeat it in a moment to learn its \
         answer",
    )
}

/// Deletes at most `limit` keys whose time is over; returns how many there were. They have no effect
/// any more: only their rows take up space.
pub async fn keys_purge(database: &Database, limit: usize) -> Result<usize> {
    let query = "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM idempotency_keys WHERE created_at <= now() - interval '24 hours'
             ORDER BY created_at LIMIT $1))";
    let mut connection = database.connection().await?;
    diesel::sql_query(query)
        .bind::<BigInt, _>(i64::try_from(limit).map_err(Error::internal)?)
        .execute(&mut connection)
        .await
        .map_err(crate::failure::postgres)
}
