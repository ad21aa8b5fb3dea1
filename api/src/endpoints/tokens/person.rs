//! The tokens of your own.

use db::UserScope;
use db::tokens::Owner;
use model::id::TokenId;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::objects::{PersonalTokenCreate, TokenCreated, TokenObject, TokenRevoked, TokenRotate};
use super::{create, get, list, revoke, rotate};
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::Done;
use crate::endpoints::Tag;
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;

/// The endpoints of the tokens of your own.
pub(crate) struct PersonalTokens;

#[OpenApi(tag = "Tag::Tokens")]
impl PersonalTokens {
    /// Make a token of your own
    ///
    /// It does what you may do, within its scopes. Its secret is in this answer and in no other: a repetition under the same
    /// `Idempotency-Key` is answered with the same token and `secret: null`.
    #[oai(path = "/v1/account/tokens", method = "post", operation_id = "account_token_create")]
    async fn create(
        &self,
        access: Access<action::OwnManage, UserScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<PersonalTokenCreate>,
    ) -> Result<Done<TokenCreated>, Problem> {
        let key = key.with(&body);
        create(&access, Owner::Person(access.scope), body.value.draft()?, key).await
    }

    /// List the tokens of your own
    ///
    /// Newest first, those that do not work any more included.
    #[oai(path = "/v1/account/tokens", method = "get", operation_id = "account_token_list")]
    async fn list(
        &self,
        access: Access<action::OwnRead, UserScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<TokenObject>>, Problem> {
        list(&access, Owner::Person(access.scope), page).await
    }

    /// Get a token of your own
    #[oai(path = "/v1/account/tokens/:token", method = "get", operation_id = "account_token_get")]
    async fn get(
        &self,
        access: Access<action::OwnRead, UserScope>,
        InPath(id): InPath<TokenId>,
    ) -> Result<Json<TokenObject>, Problem> {
        get(&access, Owner::Person(access.scope), id).await
    }

    /// Revoke a token of your own
    ///
    /// Within a second it works nowhere any more. Revoking it again changes nothing.
    #[oai(
        path = "/v1/account/tokens/:token",
        method = "delete",
        operation_id = "account_token_revoke"
    )]
    async fn revoke(
        &self,
        access: Access<action::OwnManage, UserScope>,
        InPath(id): InPath<TokenId>,
    ) -> Result<TokenRevoked, Problem> {
        revoke(&access, Owner::Person(access.scope), id).await
    }

    /// Rotate a token of your own
    ///
    /// Makes a token that may do the same; the old one works on for a while, so that whoever holds it
    /// can change over.
    #[oai(
        path = "/v1/account/tokens/:token/rotate",
        method = "post",
        operation_id = "account_token_rotate"
    )]
    async fn rotate(
        &self,
        access: Access<action::OwnManage, UserScope>,
        InPath(id): InPath<TokenId>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<TokenRotate>,
    ) -> Result<Done<TokenCreated>, Problem> {
        let key = key.with(&body);
        rotate(&access, Owner::Person(access.scope), id, &body.value, key).await
    }
}
