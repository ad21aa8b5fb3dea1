//! Password resets: a person sets a password with a secret that an operator has made (`users`).

use db::passwords::{password_reset_find, password_reset_use};
use db::requests::Shown;
use model::user::User;
use model::{Error, password};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret as _;
use validator::Validate;

use super::Tag;
use super::users::UserObject;
use crate::access::stranger::Stranger;
use crate::body::Body;
use crate::done::{Done, kept};
use crate::idempotency::Key;
use crate::problem::Problem;
use crate::secret_text::{Given, NewPassword, SecretText};

/// The endpoint of password resets.
pub(crate) struct PasswordResets;

/// A password, and what lets it be set.
#[derive(Debug, Object, Validate)]
pub(crate) struct PasswordResetUse {
    /// The reset's secret (`skep_pwr_…`).
    secret: Given,
    /// 12 to 256 characters, neither the person's email address nor their name.
    password: NewPassword,
}

/// The answer to a used reset.
#[derive(ApiResponse)]
pub(crate) enum PasswordSet {
    /// Whose password it is. Every session of theirs has ended; they can log in.
    #[oai(status = 200)]
    Set(Json<UserObject>),
}

#[OpenApi(tag = "Tag::People")]
impl PasswordResets {
    /// Set a password with a reset
    ///
    /// The secret works once. Ends every session of the person, and lets them log in at once, however many
    /// logins have failed before.
    #[oai(path = "/v1/password-resets", method = "post", operation_id = "password_reset_use")]
    async fn use_up(
        &self,
        stranger: Stranger,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<PasswordResetUse>,
    ) -> Result<Done<PasswordSet>, Problem> {
        let PasswordResetUse { secret: SecretText(secret), password: SecretText(new) } = body.value;
        let secret = secret.expose_secret();
        let request = stranger.request(key.saying(secret));
        let database = &stranger.state.database;
        let reset = match password_reset_find(database, secret, &request).await? {
            Shown::Now(reset) => reset,
            Shown::Before(answered) => return Ok(Done::of(answered)?),
        };
        if let Some(violation) = password::check(new.expose_secret(), &reset.email, &reset.name) {
            return Err(Error::invalid(vec![violation]).into());
        }
        let hash = stranger.state.hashing.turn().await?.hash(new).await?;
        let answer = |user: User| kept(PasswordSet::Set(Json(user.into())));
        let answered = password_reset_use(database, &reset, &hash, &request, answer).await?;
        Ok(Done::of(answered)?)
    }
}
