//! Members: who is in an organization, and as what. Leaving one is in `me`; getting in, in `invitations`.

use chrono::{DateTime, Utc};
use db::OrgScope;
use db::members::{MemberRow, member_list, member_remove, member_update};
use model::id::MemberId;
use model::member::Role;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use validator::Validate;

use super::Tag;
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoints of members.
pub(crate) struct Members;

/// What a member is to be.
#[derive(Debug, Object, Validate)]
pub(crate) struct MemberPatch {
    /// What they may do; no more than you.
    role: Word<Role>,
}

/// A member.
#[derive(Debug, Object)]
#[oai(rename = "Member")]
pub(crate) struct MemberObject {
    /// Its id (`mem_…`).
    id: String,
    /// Id of the person (`usr_…`).
    user: String,
    /// Their email address.
    email: String,
    /// What they are called.
    name: String,
    /// What they are in the organization.
    role: Word<Role>,
    /// Since when they are shut out of the platform.
    disabled_at: Option<DateTime<Utc>>,
    /// Since when they are in.
    created_at: DateTime<Utc>,
}

impl From<MemberRow> for MemberObject {
    fn from(row: MemberRow) -> Self {
        Self {
            id: row.id.to_string(),
            user: row.user_id.to_string(),
            email: row.email,
            name: row.name,
            role: Word(row.role),
            disabled_at: row.disabled_at,
            created_at: row.created_at,
        }
    }
}

/// The answer to a removed member.
#[derive(ApiResponse)]
pub(crate) enum MemberRemoved {
    /// Within a second the organization is not there for them any more.
    #[oai(status = 204)]
    Removed,
}

#[OpenApi(tag = "Tag::People")]
impl Members {
    /// List the members of an organization
    ///
    /// In the order in which they came.
    #[oai(
        path = "/v1/organizations/:organization/members",
        method = "get",
        operation_id = "member_list"
    )]
    async fn list(
        &self,
        access: Access<action::MemberRead, OrgScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<MemberObject>>, Problem> {
        let page = member_list(&access.state.database, access.scope, page).await?;
        Ok(Json(PageObject::of(page, MemberObject::from)))
    }

    /// Change what a member is
    ///
    /// Nobody changes who is above them, or makes anybody more than they are. The last owner stays one.
    #[oai(
        path = "/v1/organizations/:organization/members/:member",
        method = "patch",
        operation_id = "member_update"
    )]
    async fn update(
        &self,
        access: Access<action::MemberManage, OrgScope>,
        InPath(id): InPath<MemberId>,
        body: Body<MemberPatch>,
    ) -> Result<Json<MemberObject>, Problem> {
        let request = access.request(None);
        let database = &access.state.database;
        let role = body.value.role.0;
        let member =
            member_update(database, access.scope, &access.holder, id, role, &request).await?;
        Ok(Json(member.into()))
    }

    /// Remove a member
    ///
    /// Nobody removes who is above them, and the last owner stays. What their tokens reached here, they
    /// reach no more.
    #[oai(
        path = "/v1/organizations/:organization/members/:member",
        method = "delete",
        operation_id = "member_remove"
    )]
    async fn remove(
        &self,
        access: Access<action::MemberManage, OrgScope>,
        InPath(id): InPath<MemberId>,
    ) -> Result<MemberRemoved, Problem> {
        let request = access.request(None);
        let database = &access.state.database;
        member_remove(database, access.scope, &access.holder, id, &request).await?;
        Ok(MemberRemoved::Removed)
    }
}
