//! Sessions: a person logs in with email and password, sees where they are logged in, and logs out.

use chrono::{DateTime, Utc};
use db::UserScope;
use db::logins::session_create;
use db::sessions::{session_end, session_list};
use db::tokens::NewToken;
use model::Error;
use model::id::TokenId;
use model::token::Token;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret as _;
use validator::Validate;

use super::Tag;
use crate::access::stranger::Stranger;
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::{Done, shown_once};
use crate::email_text::EmailText;
use crate::idempotency::Key;
use crate::logins::prove;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::secret_text::{Given, SecretText};

/// The endpoints of sessions.
pub(crate) struct Sessions;

/// A login.
#[derive(Debug, Object, Validate)]
pub(crate) struct SessionCreate {
    /// Who you are.
    email: EmailText,
    /// What proves it.
    password: Given,
}

/// A session. Its secret is nowhere in here.
#[derive(Debug, Object)]
#[oai(rename = "Session")]
pub(crate) struct SessionObject {
    /// Its id (`tok_…`).
    id: String,
    /// Where it was made from.
    name: String,
    /// Whether it is the one that asks.
    current: bool,
    /// When it ends by itself.
    expires_at: Option<DateTime<Utc>>,
    /// When it was used last, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl SessionObject {
    fn of(row: Token, current: TokenId) -> Self {
        Self {
            current: row.id == current,
            id: row.id.to_string(),
            name: row.name,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
        }
    }
}

/// A session that was just made.
#[derive(Object)]
pub(crate) struct SessionMade {
    /// The session.
    #[oai(flatten)]
    session: SessionObject,
    /// What you send as `Authorization: Bearer …`. Shown once, in the answer that made it. `null` in the
    /// answer to a repeated request (`Idempotency-Replayed`): log in again.
    secret: Option<String>,
}

/// The answer to a login.
#[derive(ApiResponse)]
pub(crate) enum SessionCreated {
    /// You are logged in.
    #[oai(status = 201)]
    Created(
        Json<SessionMade>,
        /// Path of the session.
        #[oai(header = "Location")]
        String,
    ),
}

/// The answer to a logout.
#[derive(ApiResponse)]
pub(crate) enum SessionEnded {
    /// Within a second it works nowhere any more.
    #[oai(status = 204)]
    Ended,
}

#[OpenApi(tag = "Tag::People")]
impl Sessions {
    /// Log in
    ///
    /// The session may do what you may do. A wrong email address and a wrong password are answered the same.
    /// After five failures in a row for an email address each try waits, a second at first and twice as long
    /// each time, up to a quarter of an hour: 429, and `Retry-After` says how long.
    #[oai(path = "/v1/sessions", method = "post", operation_id = "session_create")]
    async fn create(
        &self,
        stranger: Stranger,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<SessionCreate>,
    ) -> Result<Done<SessionCreated>, Problem> {
        let SessionCreate { email: EmailText(email), password: SecretText(password) } = body.value;
        let request = stranger.request(key.saying(email.as_str()));
        let state = &stranger.state;
        let proven = prove(state, &email, password, "session.refuse", &request).await?;
        let lifetime = state.session_lifetime;
        let answered =
            session_create(&state.database, &email, &proven, lifetime, &request, made).await?;
        Ok(Done::of(answered)?)
    }

    /// List your sessions
    ///
    /// Those that work, newest first.
    #[oai(path = "/v1/sessions", method = "get", operation_id = "session_list")]
    async fn list(
        &self,
        access: Access<action::OwnRead, UserScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<SessionObject>>, Problem> {
        let page = session_list(&access.state.database, access.scope, page).await?;
        let current = access.holder.token;
        Ok(Json(PageObject::of(page, |row| SessionObject::of(row, current))))
    }

    /// Log out
    #[oai(path = "/v1/sessions/current", method = "delete", operation_id = "session_end_current")]
    async fn end_current(
        &self,
        access: Access<action::OwnManage, UserScope>,
    ) -> Result<SessionEnded, Problem> {
        end(&access, access.holder.token).await
    }

    /// End a session of yours
    ///
    /// Ending it again changes nothing.
    #[oai(path = "/v1/sessions/:session", method = "delete", operation_id = "session_end")]
    async fn end(
        &self,
        access: Access<action::OwnManage, UserScope>,
        InPath(id): InPath<TokenId>,
    ) -> Result<SessionEnded, Problem> {
        end(&access, id).await
    }
}

async fn end(
    access: &Access<action::OwnManage, UserScope>,
    id: TokenId,
) -> Result<SessionEnded, Problem> {
    session_end(&access.state.database, access.scope, id, &access.request(None)).await?;
    Ok(SessionEnded::Ended)
}

/// What a login is answered with: its secret this once, and without it ever after.
fn made(NewToken { token, secret }: NewToken) -> Result<db::Answer, Error> {
    let created = |secret: Option<String>| {
        let location = format!("/v1/sessions/{}", token.id);
        let session = SessionObject::of(token.clone(), token.id);
        SessionCreated::Created(Json(SessionMade { session, secret }), location)
    };
    shown_once(created(Some(secret.expose_secret().to_owned())), created(None))
}
