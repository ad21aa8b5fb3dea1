//! Passwords: changed by who knows the old one, or set by who holds a reset's secret. Only hashes come here,
//! and none goes out but for a login (`logins`).

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Text, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::email::Email;
use model::id::{PasswordResetId, TokenId, UserId};
use model::password::{RESET_MARK, RESET_VALID};
use model::policy::access::Action;
use model::schema::{password_resets, user_passwords};
use model::token::secret_hash;
use model::user::User;
use model::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure};
use crate::logins::{Proven, login_forget, still_proven};
use crate::now::now;
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request, Shown};
use crate::scope::OperatorScope;
use crate::sessions::sessions_end;
use crate::tokens::secret_new;
use crate::users::{user_find, user_manage};

/// Changes a person's own password, and ends their other sessions.
pub async fn password_change(
    database: &Database,
    email: &Email,
    proven: &Proven,
    hash: &SecretString,
    session: TokenId,
    request: &Request,
) -> Result<()> {
    let mut connection = database.person(proven.user).await?;
    connection
        .transaction(async |connection| {
            still_proven(connection, proven).await?;
            login_forget(connection, email).await?;
            password_set(connection, proven.user, hash).await?;
            let ended = sessions_end(connection, proven.user, Some(session)).await?;
            let mutation = password_changed("password.change", proven.user, ended);
            Ok::<_, Failure>(audit_insert(connection, &request.actor, mutation).await?)
        })
        .await?;
    Ok(())
}

/// Writes a person's password. On a connection that is told the person.
pub(crate) async fn password_set(
    connection: &mut AsyncPgConnection,
    user: UserId,
    hash: &SecretString,
) -> diesel::QueryResult<()> {
    let hash = user_passwords::hash.eq(hash.expose_secret());
    diesel::insert_into(user_passwords::table)
        .values((user_passwords::user_id.eq(user), hash))
        .on_conflict(user_passwords::user_id)
        .do_update()
        .set((hash, user_passwords::updated_at.eq(now())))
        .execute(connection)
        .await?;
    Ok(())
}

fn password_changed(action: &str, user: UserId, sessions_ended: usize) -> Mutation<'_> {
    Mutation {
        organization: None,
        action,
        object: user.to_string(),
        before: None,
        after: Some(serde_json::json!({ "sessions_ended": sessions_ended })),
        deployment: None,
    }
}

/// A reset that was just made: the only moment in which its secret can be read.
pub struct NewReset {
    /// Whose password it sets.
    pub user: User,
    /// What the person sends.
    pub secret: SecretString,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}

/// Makes a secret that lets a person set a password, in the place of an older one that was not used.
pub async fn password_reset_create(
    database: &Database,
    operator: OperatorScope,
    user: UserId,
    request: &Request,
    answer: impl Fn(NewReset) -> Result<Answer> + Sync,
) -> Result<Answered> {
    operator.require(Action::UserManage)?;
    let mut connection = database.platform(operator).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let user = user_manage(connection, operator, user).await?;
            let made = NewReset {
                user,
                secret: secret_new(RESET_MARK),
                expires_at: Utc::now() + RESET_VALID,
            };
            let hash = secret_hash(made.secret.expose_secret());
            let row = (
                password_resets::id.eq(PasswordResetId::new()),
                password_resets::secret_hash.eq(hash.as_slice()),
                password_resets::expires_at.eq(made.expires_at),
            );
            diesel::insert_into(password_resets::table)
                .values((password_resets::user_id.eq(made.user.id), row))
                .on_conflict(password_resets::user_id)
                .do_update()
                .set((
                    row,
                    password_resets::used_at.eq(None::<DateTime<Utc>>),
                    password_resets::created_at.eq(now()),
                    password_resets::updated_at.eq(now()),
                ))
                .execute(connection)
                .await?;
            let mutation = Mutation {
                organization: None,
                action: "password_reset.create",
                object: made.user.id.to_string(),
                before: None,
                after: Some(serde_json::json!({ "expires_at": made.expires_at })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Ends a person's open reset: whoever was given it may set the password no more.
pub(crate) async fn password_reset_revoke(
    connection: &mut AsyncPgConnection,
    user: UserId,
) -> diesel::QueryResult<()> {
    diesel::update(password_resets::table.filter(password_resets::user_id.eq(user)))
        .set((password_resets::expires_at.eq(now()), password_resets::updated_at.eq(now())))
        .execute(connection)
        .await?;
    Ok(())
}

/// A reset that can be used.
#[derive(QueryableByName)]
pub struct Reset {
    #[diesel(sql_type = Uuid)]
    id: PasswordResetId,
    #[diesel(sql_type = Uuid)]
    user_id: UserId,
    /// Whose password it sets.
    #[diesel(sql_type = Text)]
    pub email: String,
    /// What they are called.
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Bool)]
    is_open: bool,
}

/// The reset of a secret; or what it was answered with, where this request was done before.
pub async fn password_reset_find(
    database: &Database,
    secret: &str,
    request: &Request,
) -> Result<Shown<Reset>> {
    let mut connection = database.connection().await?;
    let reset: Option<Reset> = diesel::sql_query("SELECT * FROM password_reset_of($1)")
        .bind::<Binary, _>(secret_hash(secret).as_slice())
        .get_result(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?;
    drop(connection);
    let reset = reset.ok_or_else(no_reset)?;
    match request.by(reset.id.as_uuid()).earlier(database).await? {
        Some(earlier) => Ok(Shown::Before(earlier)),
        None if reset.is_open => Ok(Shown::Now(reset)),
        None => Err(no_reset()),
    }
}

/// Uses a reset up: sets the password, ends every session, and forgets failed logins.
pub async fn password_reset_use(
    database: &Database,
    reset: &Reset,
    hash: &SecretString,
    request: &Request,
    answer: impl Fn(User) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let request = &request.by(reset.id.as_uuid());
    let email: Email = reset.email.parse().map_err(Error::internal)?;
    let mut connection = database.person(reset.user_id).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let used = diesel::update(
                password_resets::table
                    .find(reset.id)
                    .filter(password_resets::used_at.is_null())
                    .filter(password_resets::expires_at.gt(now())),
            )
            .set((
                password_resets::used_at.eq(now().nullable()),
                password_resets::updated_at.eq(now()),
            ))
            .execute(connection)
            .await?;
            if used == 0 {
                return Err(no_reset().into());
            }
            password_set(connection, reset.user_id, hash).await?;
            login_forget(connection, &email).await?;
            let ended = sessions_end(connection, reset.user_id, None).await?;
            let user = user_find(connection, reset.user_id).await?;
            let mutation = password_changed("password.reset", reset.user_id, ended);
            request.finish(connection, mutation, answer(user)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

fn no_reset() -> Error {
    let message = "no such password reset: it is unknown, used or expired, or a newer one has taken its \
                   place; ask who operates the platform for another";
    Error::new(model::error::ErrorCode::NotFound, message)
}
