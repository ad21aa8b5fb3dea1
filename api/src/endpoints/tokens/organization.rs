//! The tokens of an organization.

use db::OrgScope;
use db::tokens::Owner;
use model::id::TokenId;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::objects::{
    OrganizationTokenCreate, TokenCreated, TokenObject, TokenRevoked, TokenRotate,
};
use super::{create, get, list, revoke, rotate};
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::Done;
use crate::endpoints::Tag;
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;

/// The endpoints of the tokens of an organization.
pub(crate) struct OrganizationTokens;

#[OpenApi(tag = "Tag::Tokens")]
impl OrganizationTokens {
    /// Make a token of an organization
    ///
    /// It reaches that organization only, and acts there as an admin within its scopes. Its secret is in this answer and in no other: a repetition under the same
    /// `Idempotency-Key` is answered with the same token and `secret: null`.
    #[oai(
        path = "/v1/organizations/:organization/tokens",
        method = "post",
        operation_id = "token_create"
    )]
    async fn create(
        &self,
        access: Access<action::TokenManage, OrgScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<OrganizationTokenCreate>,
    ) -> Result<Done<TokenCreated>, Problem> {
        let key = key.with(&body);
        create(&access, Owner::Organization(access.scope), body.value.draft()?, key).await
    }

    /// List the tokens of an organization
    ///
    /// Newest first, those that do not work any more included.
    #[oai(
        path = "/v1/organizations/:organization/tokens",
        method = "get",
        operation_id = "token_list"
    )]
    async fn list(
        &self,
        access: Access<action::TokenRead, OrgScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<TokenObject>>, Problem> {
        list(&access, Owner::Organization(access.scope), page).await
    }

    /// Get a token of an organization
    #[oai(
        path = "/v1/organizations/:organization/tokens/:token",
        method = "get",
        operation_id = "token_get"
    )]
    async fn get(
        &self,
        access: Access<action::TokenRead, OrgScope>,
        InPath(id): InPath<TokenId>,
    ) -> Result<Json<TokenObject>, Problem> {
        get(&access, Owner::Organization(access.scope), id).await
    }

    /// Revoke a token of an organization
    ///
    /// Within a second it works nowhere any more. Revoking it again changes nothing.
    #[oai(
        path = "/v1/organizations/:organization/tokens/:token",
        method = "delete",
        operation_id = "token_revoke"
    )]
    async fn revoke(
        &self,
        access: Access<action::TokenManage, OrgScope>,
        InPath(id): InPath<TokenId>,
    ) -> Result<TokenRevoked, Problem> {
        revoke(&access, Owner::Organization(access.scope), id).await
    }

    /// Rotate a token of an organization
    ///
    /// Makes a token that may do the same; the old one works on for a while, so that whoever holds it
    /// can change over.
    #[oai(
        path = "/v1/organizations/:organization/tokens/:token/rotate",
        method = "post",
        operation_id = "token_rotate"
    )]
    async fn rotate(
        &self,
        access: Access<action::TokenManage, OrgScope>,
        InPath(id): InPath<TokenId>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<TokenRotate>,
    ) -> Result<Done<TokenCreated>, Problem> {
        let key = key.with(&body);
        rotate(&access, Owner::Organization(access.scope), id, &body.value, key).await
    }
}
