//! API tokens of organizations. Operators hand them out, until members can.

use chrono::{DateTime, Utc};
use db::tokens::{NewToken, token_create};
use model::token::Token;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::{ExposeSecret as _, SecretString};
use validator::Validate;

use super::Tag;
use crate::access::OperatorOrgAccess;
use crate::body::Body;
use crate::done::{Done, shown_once};
use crate::idempotency::Key;
use crate::problem::Problem;

/// The endpoints of tokens.
pub(crate) struct Tokens;

/// A new token.
#[derive(Debug, Object, Validate)]
pub(crate) struct TokenCreate {
    /// For people: who will hold it.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: String,
}

/// A token that was just made.
#[derive(Object)]
pub(crate) struct TokenMade {
    /// Its id (`tok_…`).
    id: String,
    /// For people.
    name: String,
    /// What its holder sends as `Authorization: Bearer …`. Shown once, in the answer that made it:
    /// only its hash is kept. `null` in the answer to a repeated request (`Idempotency-Replayed`);
    /// where the first answer was lost, make another token.
    secret: Option<String>,
    /// When it stops working; `null`: when it is revoked.
    expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl TokenMade {
    fn of(token: &Token, secret: Option<&SecretString>) -> TokenCreated {
        TokenCreated::Created(Json(Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            secret: secret.map(|secret| secret.expose_secret().to_owned()),
            expires_at: token.expires_at,
            created_at: token.created_at,
        }))
    }
}

/// The answer to a created token.
#[derive(ApiResponse)]
pub(crate) enum TokenCreated {
    /// It works from now on.
    #[oai(status = 201)]
    Created(Json<TokenMade>),
}

#[OpenApi(tag = "Tag::Tokens")]
impl Tokens {
    /// Make a token of an organization
    ///
    /// It reaches that organization only. Its secret is in this answer and in no other: a repetition
    /// under the same `Idempotency-Key` is answered with the same token and `secret: null`. For
    /// operators.
    #[oai(
        path = "/v1/organizations/:organization/tokens",
        method = "post",
        operation_id = "token_create"
    )]
    async fn create(
        &self,
        OperatorOrgAccess(access): OperatorOrgAccess,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<TokenCreate>,
    ) -> Result<Done<TokenCreated>, Problem> {
        let request = access.request(key.with(&body));
        let (operator, organization) = access.scope;
        let database = &access.state.database;
        let answer = |NewToken { token, secret }: NewToken| {
            shown_once(TokenMade::of(&token, Some(&secret)), TokenMade::of(&token, None))
        };
        let name = &body.value.name;
        let answered =
            token_create(database, operator, organization, name, &request, answer).await?;
        Ok(Done::of(answered)?)
    }
}
