//! Invitations into an organization: made, listed and revoked by its members. How one is accepted is in
//! `accept`. Skep sends no mail: whoever invites hands the secret on.

mod accept;

use chrono::Utc;
use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};
use model::email::Email;
use model::error::ErrorCode;
use model::id::InvitationId;
use model::invitation::{INVITATION_MARK, INVITATION_VALID, Invitation};
use model::member::Role;
use model::policy::access::Action;
use model::schema::invitations;
use model::token::secret_hash;
use model::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};

pub use accept::{Invited, Joined, NewPerson, invitation_accept, invitation_find};

use crate::audit::{Mutation, audit_insert};
use crate::credentials::Holder;
use crate::failure::{self, Failure, violates_unique};
use crate::members::not_above;
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::OrgScope;
use crate::tokens::secret_new;

/// Most open invitations of an organization.
const MAX_INVITATIONS: i64 = 100;

/// An invitation that was just made: the only moment in which its secret can be read.
pub struct NewInvitation {
    /// Its row.
    pub invitation: Invitation,
    /// What the invited person sends.
    pub secret: SecretString,
}

/// Invites somebody into an organization, as no more than the holder is.
pub async fn invitation_create(
    database: &Database,
    scope: OrgScope,
    holder: &Holder,
    email: &Email,
    role: Role,
    request: &Request,
    answer: impl Fn(NewInvitation) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let organization = scope.allowing(Action::MemberManage)?;
    not_above(holder, role)?;
    let mut connection = database.tenant(organization).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            // What expired is in nobody's way.
            diesel::update(
                invitations::table
                    .filter(invitations::organization_id.eq(organization))
                    .filter(invitations::accepted_at.is_null())
                    .filter(invitations::revoked_at.is_null())
                    .filter(invitations::expires_at.le(now())),
            )
            .set((invitations::revoked_at.eq(now().nullable()), invitations::updated_at.eq(now())))
            .execute(connection)
            .await?;
            let open: i64 = invitations::table
                .filter(invitations::organization_id.eq(organization))
                .filter(invitations::accepted_at.is_null())
                .filter(invitations::revoked_at.is_null())
                .count()
                .get_result(connection)
                .await?;
            if open >= MAX_INVITATIONS {
                let message = format!(
                    "there are {open} open invitations, and no more than {MAX_INVITATIONS} may be: \
                     revoke one"
                );
                return Err(Error::new(ErrorCode::TooMany, message).into());
            }
            let secret = secret_new(INVITATION_MARK);
            let invitation = diesel::insert_into(invitations::table)
                .values((
                    invitations::id.eq(InvitationId::new()),
                    invitations::organization_id.eq(organization),
                    invitations::email.eq(email.as_str()),
                    invitations::role.eq(role),
                    invitations::secret_hash.eq(secret_hash(secret.expose_secret()).as_slice()),
                    invitations::expires_at.eq(Utc::now() + INVITATION_VALID),
                ))
                .returning(Invitation::as_returning())
                .get_result(connection)
                .await
                .map_err(|error| {
                    if violates_unique(&error, "invitations_one_open") {
                        let message =
                            format!("{email} is invited already; revoke that invitation first");
                        Failure::Refused(Error::new(ErrorCode::AlreadyExists, message))
                    } else {
                        Failure::from(error)
                    }
                })?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "invitation.create",
                object: invitation.id.to_string(),
                before: None,
                after: Some(audited(&invitation)),
                deployment: None,
            };
            let made = NewInvitation { invitation, secret };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// The open invitations of an organization, oldest first.
pub async fn invitation_list(
    database: &Database,
    scope: OrgScope,
    page: PageRequest,
) -> Result<Page<Invitation>> {
    let organization = scope.allowing(Action::MemberRead)?;
    let mut connection = database.tenant(organization).await?;
    let mut query = invitations::table
        .filter(invitations::organization_id.eq(organization))
        .filter(invitations::accepted_at.is_null())
        .filter(invitations::revoked_at.is_null())
        .filter(invitations::expires_at.gt(now()))
        .select(Invitation::as_select())
        .order(invitations::id)
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(invitations::id.gt(InvitationId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |invitation: &Invitation| invitation.id.as_uuid()))
}

/// Revokes an open invitation. One that was accepted, or has ended, is not found.
pub async fn invitation_revoke(
    database: &Database,
    scope: OrgScope,
    id: InvitationId,
    request: &Request,
) -> Result<()> {
    let organization = scope.allowing(Action::MemberManage)?;
    let mut connection = database.tenant(organization).await?;
    connection
        .transaction(async |connection| {
            let revoked: Option<Invitation> = diesel::update(
                invitations::table
                    .filter(invitations::organization_id.eq(organization))
                    .filter(invitations::id.eq(id))
                    .filter(invitations::accepted_at.is_null())
                    .filter(invitations::revoked_at.is_null()),
            )
            .set((invitations::revoked_at.eq(now().nullable()), invitations::updated_at.eq(now())))
            .returning(Invitation::as_returning())
            .get_result(connection)
            .await
            .optional()?;
            let revoked = revoked.ok_or_else(|| Error::not_found("invitation that is open"))?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "invitation.revoke",
                object: id.to_string(),
                before: Some(audited(&revoked)),
                after: None,
                deployment: None,
            };
            Ok::<_, Failure>(audit_insert(connection, &request.actor, mutation).await?)
        })
        .await?;
    Ok(())
}

fn audited(invitation: &Invitation) -> serde_json::Value {
    serde_json::json!({
        "email": invitation.email, "role": invitation.role, "expires_at": invitation.expires_at,
    })
}
