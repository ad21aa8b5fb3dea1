//! Logins: a password is tried, and whoever knew it gets a session.
//!
//! Tries are counted before they are looked at, so that many at once are no more than the bound allows;
//! one that was right takes the count away. The count is kept by the hash of the email, whether anybody has
//! it or not, and so tells nothing of who there is. It must not be asked for what a password is: hashing is
//! the caller's.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::email::Email;
use model::error::ErrorCode;
use model::id::{TokenId, UserId};
use model::schema::{login_failures, user_passwords};
use model::token::{TokenKind, TokenScope};
use model::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};

use crate::audit::{Mutation, entry_insert};
use crate::failure::{self, Failure};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::tokens::{NewToken, TokenRow, token_insert};

/// Failures in a row after which each try waits: a second, then twice as long each time.
const FREE_TRIES: i32 = 5;
/// The longest wait, in seconds.
const LONGEST_WAIT: i32 = 900;
/// When a count that nobody added to is forgotten.
const FORGOTTEN: &str = "interval '1 day'";

/// A password that is being tried: what is to be compared with.
#[derive(QueryableByName)]
pub struct Attempt {
    #[diesel(sql_type = Nullable<Integer>)]
    failures: Option<i32>,
    #[diesel(sql_type = Nullable<Uuid>)]
    user_id: Option<UserId>,
    #[diesel(sql_type = Nullable<Text>)]
    hash: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    set_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Bool>)]
    disabled: Option<bool>,
}

/// A person who has proven to know their password.
pub struct Proven {
    pub(crate) user: UserId,
    /// When the password was set that was right.
    pub(crate) set_at: DateTime<Utc>,
    /// The same password hashed anew, where the old hash is not as hashes are made today.
    renewed: Option<SecretString>,
}

impl Attempt {
    /// The hash to compare with; `None`: there is nobody, or no password yet.
    pub fn hash(&self) -> Option<SecretString> {
        self.hash.clone().map(SecretString::from)
    }

    /// The password was right. `None` where there is nobody whose it could be.
    pub fn proven(&self, renewed: Option<SecretString>) -> Option<Proven> {
        Some(Proven { user: self.user_id?, set_at: self.set_at?, renewed })
    }

    /// Whether the person is shut out.
    pub fn is_disabled(&self) -> bool {
        self.disabled == Some(true)
    }
}

#[derive(QueryableByName)]
struct Wait {
    #[diesel(sql_type = BigInt)]
    seconds: i64,
}

/// Refuses where the next try for this email has to wait. Costs one look: for before anything is queued.
pub async fn login_may_try(database: &Database, email: &Email) -> Result<()> {
    let mut connection = database.connection().await?;
    let wait: Option<Wait> = diesel::sql_query(
        "SELECT ceil(extract(epoch FROM locked_until - now()))::bigint AS seconds
         FROM login_failures WHERE email_hash = $1 AND locked_until > now()",
    )
    .bind::<Binary, _>(email.hash().as_slice())
    .get_result(&mut connection)
    .await
    .optional()
    .map_err(failure::postgres)?;
    match wait {
        None => Ok(()),
        Some(wait) => Err(Error::too_many_attempts(wait.seconds.max(1).unsigned_abs())),
    }
}

/// Begins a try: counts it as a failure, and finds what to compare with. Refused where the next try has to
/// wait. One statement, the same for emails that nobody has.
pub async fn login_try(database: &Database, email: &Email) -> Result<Attempt> {
    let mut connection = database.connection().await?;
    let attempt: Attempt = diesel::sql_query(
        "WITH counted AS (
             INSERT INTO login_failures AS f (email_hash, failures) VALUES ($1, 1)
             ON CONFLICT (email_hash) DO UPDATE SET
                 failures = least(f.failures + 1, 100), tried_at = now(),
                 locked_until = CASE WHEN f.failures + 1 < $3 THEN f.locked_until ELSE now()
                     + least(2 ^ (f.failures + 1 - $3), $4) * interval '1 second' END
             WHERE f.locked_until <= now()
             RETURNING failures
         )
         SELECT (SELECT failures FROM counted) AS failures, p.*
         FROM (VALUES (true)) AS one LEFT JOIN password_of($2) AS p ON true",
    )
    .bind::<Binary, _>(email.hash().as_slice())
    .bind::<Text, _>(email.as_str())
    .bind::<Integer, _>(FREE_TRIES)
    .bind::<Integer, _>(LONGEST_WAIT)
    .get_result(&mut connection)
    .await
    .map_err(failure::postgres)?;
    drop(connection);
    if attempt.failures.is_none() {
        login_may_try(database, email).await?;
        // Its time ended in between.
        return Err(Error::too_many_attempts(1));
    }
    Ok(attempt)
}

/// Writes down that a try was refused, and of whom. An email that nobody has may be a password in the wrong
/// field: it is not kept.
pub async fn login_refused(
    database: &Database,
    attempt: &Attempt,
    action: &str,
    request: &Request,
) -> Result<()> {
    let mut connection = database.nobody().await?;
    let mutation = Mutation {
        organization: None,
        action,
        object: attempt.user_id.map_or_else(|| "nobody".into(), |user| user.to_string()),
        before: None,
        after: Some(serde_json::json!({
            "failures": attempt.failures, "disabled": attempt.disabled,
        })),
        deployment: None,
    };
    let entry = mutation.refused(&request.actor);
    entry_insert(&mut connection, &entry).await.map_err(failure::postgres)
}

/// Makes a session for whoever has proven to know their password.
pub async fn session_create(
    database: &Database,
    email: &Email,
    proven: &Proven,
    lifetime: TimeDelta,
    request: &Request,
    answer: impl Fn(NewToken) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let request = &request.by(proven.user.as_uuid());
    let mut connection = database.person(proven.user).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            still_proven(connection, proven).await?;
            login_forget(connection, email).await?;
            if let Some(renewed) = &proven.renewed {
                // The password is the same: when it was set stays.
                diesel::update(user_passwords::table.find(proven.user))
                    .set(user_passwords::hash.eq(renewed.expose_secret()))
                    .execute(connection)
                    .await?;
            }
            let from = request.actor.address.as_deref().unwrap_or("an unknown address");
            let row = TokenRow {
                id: TokenId::new(),
                kind: TokenKind::Session,
                organization_id: None,
                user_id: Some(proven.user),
                platform_role: None,
                name: format!("login from {from}"),
                scopes: vec![TokenScope::Admin],
                environments: None,
                networks: None,
                expires_at: Some(Utc::now() + lifetime),
            };
            let made = token_insert(connection, &row).await?;
            let mutation = Mutation {
                organization: None,
                action: "session.create",
                object: made.token.id.to_string(),
                before: None,
                after: Some(serde_json::json!({
                    "user": proven.user, "expires_at": made.token.expires_at,
                })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Holds the password that was proven until the transaction ends: who logs in with one that is being changed
/// either fails, or has a session that the change ends.
pub(crate) async fn still_proven(
    connection: &mut AsyncPgConnection,
    proven: &Proven,
) -> Result<(), Failure> {
    let found = user_passwords::table
        .find(proven.user)
        .filter(user_passwords::updated_at.eq(proven.set_at))
        .select(user_passwords::user_id)
        .for_no_key_update()
        .first::<UserId>(connection)
        .await
        .optional()?;
    found.map(|_| ()).ok_or_else(|| invalid_credentials().into())
}

/// Forgets the failures of an email.
pub(crate) async fn login_forget(
    connection: &mut AsyncPgConnection,
    email: &Email,
) -> diesel::QueryResult<()> {
    diesel::delete(login_failures::table.find(email.hash().as_slice())).execute(connection).await?;
    Ok(())
}

/// The same for who does not exist, has no password, and sent a wrong one.
pub fn invalid_credentials() -> Error {
    let message = "this email address and this password are not a person's who can log in";
    Error::new(ErrorCode::InvalidCredentials, message)
}

/// Deletes at most `limit` counts that nobody added to for a day; returns how many there were.
pub async fn login_failures_purge(database: &Database, limit: usize) -> Result<usize> {
    let query = format!(
        "DELETE FROM login_failures WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM login_failures WHERE tried_at <= now() - {FORGOTTEN}
             ORDER BY tried_at LIMIT $1))"
    );
    let mut connection = database.connection().await?;
    diesel::sql_query(query)
        .bind::<BigInt, _>(i64::try_from(limit).map_err(Error::internal)?)
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)
}
