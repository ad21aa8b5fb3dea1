//! API tokens of organizations. Operators hand them out, until members can.

use chrono::{DateTime, Utc};
use db::tokens::{NewToken, token_create};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret as _;
use validator::Validate;

use super::Tag;
use crate::access::OperatorOrgAccess;
use crate::body::Body;
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
    /// What its holder sends as `Authorization: Bearer …`. Shown this once: only its hash is kept.
    secret: String,
    /// When it stops working; `null`: when it is revoked.
    expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<NewToken> for TokenMade {
    fn from(NewToken { token, secret }: NewToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            secret: secret.expose_secret().to_owned(),
            expires_at: token.expires_at,
            created_at: token.created_at,
        }
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
    /// It reaches that organization only. For operators.
    #[oai(
        path = "/v1/organizations/:organization/tokens",
        method = "post",
        operation_id = "token_create"
    )]
    async fn create(
        &self,
        OperatorOrgAccess(access): OperatorOrgAccess,
        body: Body<TokenCreate>,
    ) -> Result<TokenCreated, Problem> {
        let (operator, organization) = access.scope;
        let database = &access.state.database;
        let name = &body.value.name;
        let made = token_create(database, operator, organization, name, &access.actor).await?;
        Ok(TokenCreated::Created(Json(made.into())))
    }
}
