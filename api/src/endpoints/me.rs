//! What a person does about themselves: who they are, where they are in, their password.

use chrono::{DateTime, Utc};
use db::members::membership_leave;
use db::passwords::password_change;
use db::users::{Membership, user_own, user_rename};
use db::{MembershipScope, UserScope};
use model::email::Email;
use model::member::Role;
use model::{Error, password};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret as _;
use validator::Validate;

use super::Tag;
use super::users::UserObject;
use crate::access::{Access, action};
use crate::body::Body;
use crate::logins::prove;
use crate::problem::Problem;
use crate::secret_text::{Given, NewPassword, SecretText};
use crate::word::Word;

/// The endpoints of who asks.
pub(crate) struct Me;

/// You.
#[derive(Debug, Object)]
#[oai(rename = "Me")]
pub(crate) struct MeObject {
    /// The person.
    #[oai(flatten)]
    user: UserObject,
    /// Your organizations, by slug.
    memberships: Vec<MembershipObject>,
}

/// One of your organizations.
#[derive(Debug, Object)]
#[oai(rename = "Membership")]
pub(crate) struct MembershipObject {
    /// Its id (`mem_…`), as the organization's members are listed.
    id: String,
    /// Slug of the organization.
    organization: String,
    /// Name of the organization.
    name: String,
    /// What you are there.
    role: Word<Role>,
    /// Since when it can be read and not changed.
    suspended_at: Option<DateTime<Utc>>,
}

impl From<Membership> for MembershipObject {
    fn from(row: Membership) -> Self {
        Self {
            id: row.id.to_string(),
            organization: row.slug,
            name: row.name,
            role: Word(row.role),
            suspended_at: row.suspended_at,
        }
    }
}

/// What you change about yourself.
#[derive(Debug, Object, Validate)]
pub(crate) struct MePatch {
    /// What you are called.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: String,
}

/// Another password.
#[derive(Debug, Object, Validate)]
pub(crate) struct PasswordChange {
    /// The one that you have.
    current: Given,
    /// The one that you want: 12 to 256 characters, neither your email address nor your name.
    new: NewPassword,
}

/// The answer to a changed password.
#[derive(ApiResponse)]
pub(crate) enum PasswordChanged {
    /// Your other sessions end within a second. Your tokens go on.
    #[oai(status = 204)]
    Changed,
}

/// The answer to who left an organization.
#[derive(ApiResponse)]
pub(crate) enum MembershipLeft {
    /// Within a second the organization is not there for you any more.
    #[oai(status = 204)]
    Left,
}

#[OpenApi(tag = "Tag::People")]
impl Me {
    /// See who you are
    #[oai(path = "/v1/me", method = "get", operation_id = "me_get")]
    async fn get(
        &self,
        access: Access<action::OwnRead, UserScope>,
    ) -> Result<Json<MeObject>, Problem> {
        let (user, memberships) = user_own(&access.state.database, access.scope).await?;
        let memberships = memberships.into_iter().map(MembershipObject::from).collect();
        Ok(Json(MeObject { user: user.into(), memberships }))
    }

    /// Change your name
    #[oai(path = "/v1/me", method = "patch", operation_id = "me_update")]
    async fn update(
        &self,
        access: Access<action::OwnManage, UserScope>,
        body: Body<MePatch>,
    ) -> Result<Json<UserObject>, Problem> {
        let request = access.request(None);
        let database = &access.state.database;
        let user = user_rename(database, access.scope, &body.value.name, &request).await?;
        Ok(Json(user.into()))
    }

    /// Change your password
    ///
    /// Wrong current passwords count as failed logins, and make you wait as those do.
    #[oai(path = "/v1/me/password", method = "put", operation_id = "password_change")]
    async fn change_password(
        &self,
        access: Access<action::OwnManage, UserScope>,
        body: Body<PasswordChange>,
    ) -> Result<PasswordChanged, Problem> {
        let PasswordChange { current: SecretText(current), new: SecretText(new) } = body.value;
        let state = &access.state;
        let (user, _) = user_own(&state.database, access.scope).await?;
        if let Some(mut violation) = password::check(new.expose_secret(), &user.email, &user.name) {
            violation.field = "new".into();
            return Err(Error::invalid(vec![violation]).into());
        }
        let email: Email = user.email.parse().map_err(Error::internal)?;
        let request = access.request(None);
        let proven = prove(state, &email, current, "password.refuse", &request).await?;
        let hash = state.hashing.turn().await?.hash(new).await?;
        let session = access.holder.token;
        password_change(&state.database, &email, &proven, &hash, session, &request).await?;
        Ok(PasswordChanged::Changed)
    }

    /// Leave an organization
    ///
    /// Its last owner cannot.
    #[oai(
        path = "/v1/me/memberships/:organization",
        method = "delete",
        operation_id = "membership_leave"
    )]
    async fn leave(
        &self,
        access: Access<action::OwnManage, MembershipScope>,
    ) -> Result<MembershipLeft, Problem> {
        membership_leave(&access.state.database, &access.scope, &access.request(None)).await?;
        Ok(MembershipLeft::Left)
    }
}
