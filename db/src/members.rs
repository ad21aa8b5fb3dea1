//! Members: who is in an organization, and as what. Nobody changes who is above them or gives a role above
//! their own, and the last owner stays: every change of an owner holds the organization's row first, so
//! that of two at once the second sees what the first has left.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::error::ErrorCode;
use model::id::{MemberId, OrganizationId, UserId};
use model::member::{Member, Role};
use model::policy::access::Action;
use model::schema::{members, organizations, users};
use model::{Error, Result};

use crate::audit::{Mutation, audit_insert};
use crate::credentials::Holder;
use crate::failure::{self, Failure, violates_unique};
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::Request;
use crate::scope::{MembershipScope, OrgScope};
use crate::segment::Segment;
use crate::users::memberships;

/// A member, with who that is.
#[derive(Debug, Clone, Queryable)]
pub struct MemberRow {
    /// The membership.
    pub id: MemberId,
    /// What they are.
    pub role: Role,
    /// Since when they are in.
    pub created_at: DateTime<Utc>,
    /// Who.
    pub user_id: UserId,
    /// Their email.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// Since when they cannot log in.
    pub disabled_at: Option<DateTime<Utc>>,
}

type Columns = (
    members::id,
    members::role,
    members::created_at,
    users::id,
    users::email,
    users::name,
    users::disabled_at,
);
const COLUMNS: Columns = (
    members::id,
    members::role,
    members::created_at,
    users::id,
    users::email,
    users::name,
    users::disabled_at,
);

/// The members of an organization, in the order in which they came.
pub async fn member_list(
    database: &Database,
    scope: OrgScope,
    page: PageRequest,
) -> Result<Page<MemberRow>> {
    let organization = scope.allowing(Action::MemberRead)?;
    let mut connection = database.tenant(organization).await?;
    let mut query = members::table
        .inner_join(users::table)
        .filter(members::organization_id.eq(organization))
        .select(COLUMNS)
        .order(members::id)
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(members::id.gt(MemberId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |member: &MemberRow| member.id.as_uuid()))
}

/// Makes a member something else.
pub async fn member_update(
    database: &Database,
    scope: OrgScope,
    holder: &Holder,
    id: MemberId,
    role: Role,
    request: &Request,
) -> Result<MemberRow> {
    let organization = scope.allowing(Action::MemberManage)?;
    let mut connection = database.tenant(organization).await?;
    let updated = connection
        .transaction(async |connection| {
            let before = lock(connection, organization, id).await?;
            not_above(holder, before.role)?;
            not_above(holder, role)?;
            if role != Role::Owner {
                an_owner_is_left(connection, &before).await?;
            }
            diesel::update(members::table.find(id))
                .set((members::role.eq(role), members::updated_at.eq(now())))
                .execute(connection)
                .await?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "member.update",
                object: id.to_string(),
                before: Some(audited(&before)),
                after: Some(serde_json::json!({ "user": before.user_id, "role": role })),
                deployment: None,
            };
            audit_insert(connection, &request.actor, mutation).await?;
            let query = members::table.inner_join(users::table).filter(members::id.eq(id));
            Ok::<MemberRow, Failure>(query.select(COLUMNS).first(connection).await?)
        })
        .await?;
    Ok(updated)
}

/// Removes a member.
pub async fn member_remove(
    database: &Database,
    scope: OrgScope,
    holder: &Holder,
    id: MemberId,
    request: &Request,
) -> Result<()> {
    let organization = scope.allowing(Action::MemberManage)?;
    let mut connection = database.tenant(organization).await?;
    connection
        .transaction(async |connection| {
            let member = lock(connection, organization, id).await?;
            not_above(holder, member.role)?;
            remove(connection, &member, "member.remove", request).await
        })
        .await?;
    Ok(())
}

/// Takes a person out of an organization, their own doing: whatever they are in it.
pub async fn membership_leave(
    database: &Database,
    scope: &MembershipScope,
    request: &Request,
) -> Result<()> {
    let mut connection = database.person(scope.user.user()).await?;
    let own = memberships(&mut connection).await.map_err(failure::postgres)?;
    drop(connection);
    let is_meant = |id: OrganizationId, slug: &str| match &scope.organization {
        Segment::Id(wanted) => *wanted == id,
        Segment::Slug(wanted) => wanted == slug,
    };
    let meant = own.into_iter().find(|found| is_meant(found.organization_id, &found.slug));
    let meant = meant.ok_or_else(|| Error::not_found("membership"))?;
    let mut connection = database.tenant(meant.organization_id).await?;
    connection
        .transaction(async |connection| {
            let member = lock(connection, meant.organization_id, meant.id).await?;
            remove(connection, &member, "member.leave", request).await
        })
        .await?;
    Ok(())
}

async fn remove(
    connection: &mut AsyncPgConnection,
    member: &Member,
    action: &str,
    request: &Request,
) -> Result<(), Failure> {
    an_owner_is_left(connection, member).await?;
    diesel::delete(members::table.find(member.id)).execute(connection).await?;
    let mutation = Mutation {
        organization: Some(member.organization_id),
        action,
        object: member.id.to_string(),
        before: Some(audited(member)),
        after: None,
        deployment: None,
    };
    Ok(audit_insert(connection, &request.actor, mutation).await?)
}

/// Inserts a member; refused where they are one.
pub(crate) async fn member_insert(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    user: UserId,
    role: Role,
) -> Result<(), Failure> {
    diesel::insert_into(members::table)
        .values((
            members::id.eq(MemberId::new()),
            members::organization_id.eq(organization),
            members::user_id.eq(user),
            members::role.eq(role),
        ))
        .execute(connection)
        .await
        .map_err(|error| {
            if violates_unique(&error, "members_user_id_organization_id_key") {
                let message = "this person is a member of the organization already";
                Failure::Refused(Error::new(ErrorCode::AlreadyExists, message))
            } else {
                Failure::from(error)
            }
        })?;
    Ok(())
}

/// The member, while nobody else changes one of this organization's.
async fn lock(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    id: MemberId,
) -> Result<Member, Failure> {
    organizations::table
        .find(organization)
        .select(organizations::id)
        .for_no_key_update()
        .first::<OrganizationId>(connection)
        .await?;
    let query = members::table
        .filter(members::organization_id.eq(organization))
        .filter(members::id.eq(id))
        .select(Member::as_select());
    let found = query.first(connection).await.optional()?;
    Ok(found.ok_or_else(|| Error::not_found("member"))?)
}

/// Refuses to take its last owner from an organization; `member` is about to be none any more.
async fn an_owner_is_left(
    connection: &mut AsyncPgConnection,
    member: &Member,
) -> Result<(), Failure> {
    if member.role != Role::Owner {
        return Ok(());
    }
    let others: i64 = members::table
        .filter(members::organization_id.eq(member.organization_id))
        .filter(members::role.eq(Role::Owner))
        .filter(members::id.ne(member.id))
        .count()
        .get_result(connection)
        .await?;
    if others > 0 {
        return Ok(());
    }
    let message = "this is the last owner of the organization: make somebody else one first";
    Err(Error::new(ErrorCode::LastOwner, message).into())
}

/// Refuses what is above the holder's own role. Who manages members of every organization is as an owner.
pub(crate) fn not_above(holder: &Holder, role: Role) -> Result<()> {
    let every = Action::MemberManage.platform_roles();
    let operates = holder.platform_role.is_some_and(|role| every.contains(&role));
    let own = if operates { Some(Role::Owner) } else { holder.role };
    if own.is_some_and(|own| !own.is_below(role)) {
        return Ok(());
    }
    let message = format!("only an {role} makes an {role}, or changes one: ask an {role}");
    Err(Error::new(ErrorCode::Forbidden, message))
}

fn audited(member: &Member) -> serde_json::Value {
    serde_json::json!({ "user": member.user_id, "role": member.role })
}
