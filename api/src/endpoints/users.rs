//! Users: people, as operators see and manage them.

use chrono::{DateTime, Utc};
use db::OperatorScope;
use db::passwords::{NewReset, password_reset_create};
use db::users::{UserChange, user_create, user_get, user_list, user_update};
use model::Error;
use model::id::UserId;
use model::user::{PlatformRole, User};
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret as _;
use validator::Validate;

use super::Tag;
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::{Done, kept, shown_once};
use crate::email_text::EmailText;
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoints of users.
pub(crate) struct Users;

/// A new person.
#[derive(Debug, Object, Validate)]
pub(crate) struct UserCreate {
    /// What they log in with.
    email: EmailText,
    /// What they are called.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: String,
    /// What they may do to the platform itself: nothing where it is not given. Platform admins give it.
    platform_role: Option<Word<PlatformRole>>,
}

/// What an operator changes of a person.
#[derive(Debug, Object, Validate)]
pub(crate) struct UserPatch {
    /// What they are called.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: Option<String>,
    /// What they may do to the platform itself; `null`: nothing. Platform admins give and take it.
    platform_role: MaybeUndefined<Word<PlatformRole>>,
    /// Whether they are shut out: they cannot log in, and none of their tokens works.
    disabled: Option<bool>,
}

/// A person.
#[derive(Debug, Object)]
#[oai(rename = "User")]
pub(crate) struct UserObject {
    /// Their id (`usr_…`).
    id: String,
    /// What they log in with, in lower case.
    email: String,
    /// What they are called.
    name: String,
    /// What they may do to the platform itself; `null`: nothing.
    platform_role: Option<Word<PlatformRole>>,
    /// Since when they are shut out.
    disabled_at: Option<DateTime<Utc>>,
    /// When they were made.
    created_at: DateTime<Utc>,
    /// When they were changed last.
    updated_at: DateTime<Utc>,
}

impl From<User> for UserObject {
    fn from(row: User) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email,
            name: row.name,
            platform_role: row.platform_role.map(Word),
            disabled_at: row.disabled_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// What lets a person set a password, once.
#[derive(Object)]
#[oai(rename = "PasswordReset")]
pub(crate) struct PasswordResetObject {
    /// Id of the person.
    user: String,
    /// When it stops working.
    expires_at: DateTime<Utc>,
    /// What the person sends to `POST /v1/password-resets`. Shown once, in the answer that made it: hand it
    /// on, Skep sends no mail. `null` in the answer to a repeated request (`Idempotency-Replayed`).
    secret: Option<String>,
}

/// The answer to a created person.
#[derive(ApiResponse)]
pub(crate) enum UserCreated {
    /// They are there, and can log in once they have set a password.
    #[oai(status = 201)]
    Created(
        Json<UserObject>,
        /// Path of the person.
        #[oai(header = "Location")]
        String,
    ),
}

/// The answer to a password reset.
#[derive(ApiResponse)]
pub(crate) enum PasswordResetCreated {
    /// It works once, for a day; an older one that was not used works no more.
    #[oai(status = 201)]
    Created(Json<PasswordResetObject>),
}

#[OpenApi(tag = "Tag::People")]
impl Users {
    /// Make a person
    ///
    /// They set their first password with a reset, which `POST …/password-reset` makes. For operators.
    #[oai(path = "/v1/admin/users", method = "post", operation_id = "user_create")]
    async fn create(
        &self,
        access: Access<action::UserManage, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<UserCreate>,
    ) -> Result<Done<UserCreated>, Problem> {
        let request = access.request(key.with(&body));
        let UserCreate { email: EmailText(email), name, platform_role } = body.value;
        let role = platform_role.map(|word| word.0);
        let answer = |made: User| {
            let location = format!("/v1/admin/users/{}", made.id);
            kept(UserCreated::Created(Json(made.into()), location))
        };
        let database = &access.state.database;
        let answered =
            user_create(database, access.scope, &email, &name, role, &request, answer).await?;
        Ok(Done::of(answered)?)
    }

    /// List people
    ///
    /// Oldest first. For operators.
    #[oai(path = "/v1/admin/users", method = "get", operation_id = "user_list")]
    async fn list(
        &self,
        access: Access<action::UserRead, OperatorScope>,
        PageQuery(page): PageQuery,
        /// How their email address begins.
        #[oai(validator(min_length = 1, max_length = 254, pattern = "^[!-~]*$"))]
        email: Query<Option<String>>,
    ) -> Result<Json<PageObject<UserObject>>, Problem> {
        let database = &access.state.database;
        let page = user_list(database, access.scope, email.0.as_deref(), page).await?;
        Ok(Json(PageObject::of(page, UserObject::from)))
    }

    /// Get a person
    #[oai(path = "/v1/admin/users/:user", method = "get", operation_id = "user_get")]
    async fn get(
        &self,
        access: Access<action::UserRead, OperatorScope>,
        InPath(id): InPath<UserId>,
    ) -> Result<Json<UserObject>, Problem> {
        Ok(Json(user_get(&access.state.database, access.scope, id).await?.into()))
    }

    /// Change a person
    ///
    /// Who has a role in the platform is changed by platform admins only. For operators.
    #[oai(path = "/v1/admin/users/:user", method = "patch", operation_id = "user_update")]
    async fn update(
        &self,
        access: Access<action::UserManage, OperatorScope>,
        InPath(id): InPath<UserId>,
        body: Body<UserPatch>,
    ) -> Result<Json<UserObject>, Problem> {
        let UserPatch { name, platform_role, disabled } = body.value;
        let platform_role = match platform_role {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(word) => Some(Some(word.0)),
        };
        let change = UserChange { name, platform_role, disabled };
        let database = &access.state.database;
        let user = user_update(database, access.scope, id, &change, &access.request(None)).await?;
        Ok(Json(user.into()))
    }

    /// Let a person set another password
    ///
    /// Makes a secret for `POST /v1/password-resets`, which works once and for a day: also for the first
    /// password of a new person. Hand it on; Skep sends no mail. Of who has a role in the platform, for
    /// platform admins; for operators else.
    #[oai(
        path = "/v1/admin/users/:user/password-reset",
        method = "post",
        operation_id = "password_reset_create"
    )]
    async fn reset_password(
        &self,
        access: Access<action::UserManage, OperatorScope>,
        InPath(id): InPath<UserId>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Done<PasswordResetCreated>, Problem> {
        let request = access.request(key.alone());
        let database = &access.state.database;
        let answered =
            password_reset_create(database, access.scope, id, &request, reset_made).await?;
        Ok(Done::of(answered)?)
    }
}

/// What a reset is answered with: its secret this once, and without it ever after.
fn reset_made(made: NewReset) -> Result<db::Answer, Error> {
    let created = |secret: Option<String>| {
        PasswordResetCreated::Created(Json(PasswordResetObject {
            user: made.user.id.to_string(),
            expires_at: made.expires_at,
            secret,
        }))
    };
    shown_once(created(Some(made.secret.expose_secret().to_owned())), created(None))
}
