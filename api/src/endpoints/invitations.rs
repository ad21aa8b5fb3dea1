//! Invitations: how people get into an organization.

use chrono::{DateTime, Utc};
use db::OrgScope;
use db::invitations::{
    Joined, NewInvitation, NewPerson, invitation_accept, invitation_create, invitation_find,
    invitation_list, invitation_revoke,
};
use db::requests::Shown;
use model::error::Violation;
use model::id::InvitationId;
use model::invitation::Invitation;
use model::member::Role;
use model::{Error, password};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::{ExposeSecret as _, SecretString};
use validator::Validate;

use super::Tag;
use crate::access::stranger::{PerhapsSession, Stranger};
use crate::access::{Access, InPath, action};
use crate::body::Body;
use crate::done::{Done, kept, shown_once};
use crate::email_text::EmailText;
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::secret_text::{Given, NewPassword, SecretText};
use crate::word::Word;

/// The endpoints of invitations.
pub(crate) struct Invitations;

/// A new invitation.
#[derive(Debug, Object, Validate)]
pub(crate) struct InvitationCreate {
    /// Who is invited.
    email: EmailText,
    /// What they will be in the organization; no more than you.
    role: Word<Role>,
}

/// An invitation. Its secret is nowhere in here.
#[derive(Debug, Object)]
#[oai(rename = "Invitation")]
pub(crate) struct InvitationObject {
    /// Its id (`inv_…`).
    id: String,
    /// Who is invited.
    email: String,
    /// What they will be.
    role: Word<Role>,
    /// When it stops working.
    expires_at: DateTime<Utc>,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<&Invitation> for InvitationObject {
    fn from(row: &Invitation) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email.clone(),
            role: Word(row.role),
            expires_at: row.expires_at,
            created_at: row.created_at,
        }
    }
}

/// An invitation that was just made.
#[derive(Object)]
pub(crate) struct InvitationMade {
    /// The invitation.
    #[oai(flatten)]
    invitation: InvitationObject,
    /// What the invited person sends to `POST /v1/invitations/accept`. Shown once, in the answer that made
    /// it: hand it on, Skep sends no mail. `null` in the answer to a repeated request
    /// (`Idempotency-Replayed`); where the first answer was lost, revoke it and make another.
    secret: Option<String>,
}

/// The answer to a created invitation.
#[derive(ApiResponse)]
pub(crate) enum InvitationCreated {
    /// It can be accepted once, for a week.
    #[oai(status = 201)]
    Created(Json<InvitationMade>),
}

/// The answer to a revoked invitation.
#[derive(ApiResponse)]
pub(crate) enum InvitationRevoked {
    /// Nobody can accept it any more.
    #[oai(status = 204)]
    Revoked,
}

/// What the invited person says.
#[derive(Debug, Object, Validate)]
pub(crate) struct InvitationAccept {
    /// The invitation's secret (`skep_inv_…`).
    secret: Given,
    /// What you are called: needed, and taken, where the invited email address is nobody's yet.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: Option<String>,
    /// Your first password, for the same case: 12 to 256 characters, neither your email address nor your
    /// name.
    password: Option<NewPassword>,
}

/// Somebody who came into an organization.
#[derive(Debug, Object)]
#[oai(rename = "Joined")]
pub(crate) struct JoinedObject {
    /// Id of the person.
    user: String,
    /// Slug of the organization.
    organization: String,
    /// What they are there.
    role: Word<Role>,
}

/// The answer to an accepted invitation.
#[derive(ApiResponse)]
pub(crate) enum InvitationAccepted {
    /// You are in.
    #[oai(status = 201)]
    Accepted(Json<JoinedObject>),
}

#[OpenApi(tag = "Tag::People")]
impl Invitations {
    /// Invite somebody into an organization
    ///
    /// Its secret is in this answer and in no other: hand it to the invited person, Skep sends no mail. Of an
    /// email address there is one open invitation at a time.
    #[oai(
        path = "/v1/organizations/:organization/invitations",
        method = "post",
        operation_id = "invitation_create"
    )]
    async fn create(
        &self,
        access: Access<action::MemberManage, OrgScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<InvitationCreate>,
    ) -> Result<Done<InvitationCreated>, Problem> {
        let request = access.request(key.with(&body));
        let InvitationCreate { email: EmailText(email), role: Word(role) } = body.value;
        let (database, holder) = (&access.state.database, &access.holder);
        let answered =
            invitation_create(database, access.scope, holder, &email, role, &request, made).await?;
        Ok(Done::of(answered)?)
    }

    /// List the invitations of an organization
    ///
    /// Those that can be accepted, oldest first.
    #[oai(
        path = "/v1/organizations/:organization/invitations",
        method = "get",
        operation_id = "invitation_list"
    )]
    async fn list(
        &self,
        access: Access<action::MemberRead, OrgScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<InvitationObject>>, Problem> {
        let page = invitation_list(&access.state.database, access.scope, page).await?;
        Ok(Json(PageObject::of(page, |row| InvitationObject::from(&row))))
    }

    /// Revoke an invitation
    #[oai(
        path = "/v1/organizations/:organization/invitations/:invitation",
        method = "delete",
        operation_id = "invitation_revoke"
    )]
    async fn revoke(
        &self,
        access: Access<action::MemberManage, OrgScope>,
        InPath(id): InPath<InvitationId>,
    ) -> Result<InvitationRevoked, Problem> {
        let request = access.request(None);
        invitation_revoke(&access.state.database, access.scope, id, &request).await?;
        Ok(InvitationRevoked::Revoked)
    }

    /// Accept an invitation
    ///
    /// Where the invited email address is nobody's yet, it becomes yours, with your name and password. Where
    /// it is somebody's, that person accepts with their session (`Authorization`): the secret alone acts on
    /// nobody who is there already.
    #[oai(path = "/v1/invitations/accept", method = "post", operation_id = "invitation_accept")]
    async fn accept(
        &self,
        stranger: Stranger,
        session: PerhapsSession,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<InvitationAccept>,
    ) -> Result<Done<InvitationAccepted>, Problem> {
        let InvitationAccept { secret: SecretText(secret), name, password } = body.value;
        let secret = secret.expose_secret();
        let request = stranger.request_of(&session, key.saying(secret));
        let (state, scope) = (&stranger.state, session.scope());
        let database = &state.database;
        let invited = match invitation_find(database, secret, scope, &request).await? {
            Shown::Now(invited) => invited,
            Shown::Before(answered) => return Ok(Done::of(answered)?),
        };
        let new = if scope.is_none() && invited.is_nobody() {
            let (name, password) = introduced(invited.email(), name, password)?;
            let password = state.hashing.turn().await?.hash(password).await?;
            Some(NewPerson { name, password })
        } else {
            None
        };
        let answered =
            invitation_accept(database, &invited, scope, new.as_ref(), &request, joined).await?;
        Ok(Done::of(answered)?)
    }
}

/// What somebody new has to say of themselves.
fn introduced(
    email: &str,
    name: Option<String>,
    password: Option<NewPassword>,
) -> Result<(String, SecretString), Error> {
    let rule = "is required: the invited email address is nobody's yet";
    let missing = |field: &str, is_missing: bool| is_missing.then(|| Violation::new(field, rule));
    let mut violations: Vec<Violation> = missing("name", name.is_none())
        .into_iter()
        .chain(missing("password", password.is_none()))
        .collect();
    if let (Some(name), Some(SecretText(password))) = (name, password) {
        match password::check(password.expose_secret(), email, &name) {
            None => return Ok((name, password)),
            Some(violation) => violations.push(violation),
        }
    }
    Err(Error::invalid(violations))
}

/// What an invitation is answered with: its secret this once, and without it ever after.
fn made(NewInvitation { invitation, secret }: NewInvitation) -> Result<db::Answer, Error> {
    let created = |secret: Option<String>| {
        let invitation = InvitationObject::from(&invitation);
        InvitationCreated::Created(Json(InvitationMade { invitation, secret }))
    };
    shown_once(created(Some(secret.expose_secret().to_owned())), created(None))
}

fn joined(joined: Joined) -> Result<db::Answer, Error> {
    kept(InvitationAccepted::Accepted(Json(JoinedObject {
        user: joined.user.to_string(),
        organization: joined.organization.slug,
        role: Word(joined.role),
    })))
}
