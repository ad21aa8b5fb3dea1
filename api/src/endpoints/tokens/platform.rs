//! The tokens of the platform.

use db::OperatorScope;
use db::tokens::Owner;
use model::id::TokenId;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::objects::{PlatformTokenCreate, TokenCreated, TokenObject, TokenRevoked, TokenRotate};
use super::{create, get, list, revoke, rotate};
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::Done;
use crate::endpoints::Tag;
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;

/// The endpoints of the tokens of the platform.
pub(crate) struct PlatformTokens;

#[OpenApi(tag = "Tag::Tokens")]
impl PlatformTokens {
    /// Make a token of the platform
    ///
    /// For what operates or watches the platform. Its secret is in this answer and in no other: a repetition under the same
    /// `Idempotency-Key` is answered with the same token and `secret: null`.
    #[oai(path = "/v1/admin/tokens", method = "post", operation_id = "platform_token_create")]
    async fn create(
        &self,
        access: Access<action::PlatformTokenManage, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<PlatformTokenCreate>,
    ) -> Result<Done<TokenCreated>, Problem> {
        let key = key.with(&body);
        create(&access, Owner::Platform(access.scope), body.value.draft()?, key).await
    }

    /// List the tokens of the platform
    ///
    /// Newest first, those that do not work any more included.
    #[oai(path = "/v1/admin/tokens", method = "get", operation_id = "platform_token_list")]
    async fn list(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<TokenObject>>, Problem> {
        list(&access, Owner::Platform(access.scope), page).await
    }

    /// Get a token of the platform
    #[oai(path = "/v1/admin/tokens/:token", method = "get", operation_id = "platform_token_get")]
    async fn get(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
        InPath(id): InPath<TokenId>,
    ) -> Result<Json<TokenObject>, Problem> {
        get(&access, Owner::Platform(access.scope), id).await
    }

    /// Revoke a token of the platform
    ///
    /// Within a second it works nowhere any more. Revoking it again changes nothing.
    #[oai(
        path = "/v1/admin/tokens/:token",
        method = "delete",
        operation_id = "platform_token_revoke"
    )]
    async fn revoke(
        &self,
        access: Access<action::PlatformTokenManage, OperatorScope>,
        InPath(id): InPath<TokenId>,
    ) -> Result<TokenRevoked, Problem> {
        revoke(&access, Owner::Platform(access.scope), id).await
    }

    /// Rotate a token of the platform
    ///
    /// Makes a token that may do the same; the old one works on for a while, so that whoever holds it
    /// can change over.
    #[oai(
        path = "/v1/admin/tokens/:token/rotate",
        method = "post",
        operation_id = "platform_token_rotate"
    )]
    async fn rotate(
        &self,
        access: Access<action::PlatformTokenManage, OperatorScope>,
        InPath(id): InPath<TokenId>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<TokenRotate>,
    ) -> Result<Done<TokenCreated>, Problem> {
        let key = key.with(&body);
        rotate(&access, Owner::Platform(access.scope), id, &body.value, key).await
    }
}
