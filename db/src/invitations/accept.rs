//! How an invitation is accepted: by somebody new, who becomes a person by it, or by the person of its email,
//! who has to be logged in. Its secret alone never acts on a person who is there already.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Nullable, Text, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::email::Email;
use model::error::ErrorCode;
use model::id::{InvitationId, OrganizationId, UserId};
use model::member::Role;
use model::organization::Organization;
use model::schema::{invitations, organizations, users};
use model::token::secret_hash;
use model::{Error, Result};
use secrecy::SecretString;

use crate::audit::Mutation;
use crate::failure::{self, Failure};
use crate::members::member_insert;
use crate::now::now;
use crate::passwords::password_set;
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request, Shown};
use crate::scope::UserScope;
use crate::users::{memberships, user_insert};

/// Most organizations of one person.
const MAX_MEMBERSHIPS: usize = 100;

/// An invitation that can be accepted.
#[derive(QueryableByName)]
pub struct Invited {
    #[diesel(sql_type = Uuid)]
    id: InvitationId,
    #[diesel(sql_type = Uuid)]
    organization_id: OrganizationId,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    role: Role,
    #[diesel(sql_type = Bool)]
    is_open: bool,
    #[diesel(sql_type = Nullable<Uuid>)]
    user_id: Option<UserId>,
}

impl Invited {
    /// Who is invited.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// Whether the email is nobody's yet.
    pub const fn is_nobody(&self) -> bool {
        self.user_id.is_none()
    }
}

/// What somebody who is nobody yet says of themselves.
pub struct NewPerson {
    /// What they are called.
    pub name: String,
    /// Their password, hashed.
    pub password: SecretString,
}

/// Who came in, where, and as what.
pub struct Joined {
    /// Where.
    pub organization: Organization,
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: Role,
}

/// The invitation of a secret; or what it was answered with, where this request was done before.
pub async fn invitation_find(
    database: &Database,
    secret: &str,
    session: Option<UserScope>,
    request: &Request,
) -> Result<Shown<Invited>> {
    let mut connection = database.connection().await?;
    let invited: Option<Invited> = diesel::sql_query("SELECT * FROM invitation_of($1)")
        .bind::<Binary, _>(secret_hash(secret).as_slice())
        .get_result(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?;
    drop(connection);
    let invited = invited.ok_or_else(no_invitation)?;
    match keyed(&invited, session, request).earlier(database).await? {
        Some(earlier) => Ok(Shown::Before(earlier)),
        None if invited.is_open => Ok(Shown::Now(invited)),
        None => Err(no_invitation()),
    }
}

/// A session has its own idempotency keys; without one, they are the invitation's.
fn keyed(invited: &Invited, session: Option<UserScope>, request: &Request) -> Request {
    if session.is_some() { request.clone() } else { request.by(invited.id.as_uuid()) }
}

/// Accepts an invitation: as the person of a session, or as somebody new.
pub async fn invitation_accept(
    database: &Database,
    invited: &Invited,
    session: Option<UserScope>,
    new: Option<&NewPerson>,
    request: &Request,
    answer: impl Fn(Joined) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let user = match (session, new) {
        (Some(scope), _) => scope.user(),
        (None, Some(_)) => UserId::new(),
        (None, None) => return Err(log_in_first()),
    };
    let new = if session.is_some() { None } else { new };
    let request = &keyed(invited, session, request);
    let mut connection = database.member(invited.organization_id, user).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let organization = not_closed(connection, invited.organization_id).await?;
            let accepted = diesel::update(
                invitations::table
                    .find(invited.id)
                    .filter(invitations::accepted_at.is_null())
                    .filter(invitations::revoked_at.is_null())
                    .filter(invitations::expires_at.gt(now())),
            )
            .set((invitations::accepted_at.eq(now().nullable()), invitations::updated_at.eq(now())))
            .execute(connection)
            .await?;
            if accepted == 0 {
                return Err(no_invitation().into());
            }
            match new {
                Some(person) => become_somebody(connection, invited, user, person).await?,
                None => be_the_invited(connection, invited, user).await?,
            }
            member_insert(connection, invited.organization_id, user, invited.role).await?;
            let mutation = Mutation {
                organization: Some(invited.organization_id),
                action: "invitation.accept",
                object: invited.id.to_string(),
                before: None,
                after: Some(serde_json::json!({
                    "user": user, "role": invited.role, "is_new": new.is_some(),
                })),
                deployment: None,
            };
            let joined = Joined { organization, user, role: invited.role };
            request.finish(connection, mutation, answer(joined)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

async fn not_closed(
    connection: &mut AsyncPgConnection,
    id: OrganizationId,
) -> Result<Organization, Failure> {
    let query = organizations::table.find(id).select(Organization::as_select());
    let organization: Organization = query.first(connection).await?;
    if organization.suspended_at.or(organization.delete_after).is_some() {
        let message = "the organization is suspended, or about to end: nobody can join it now; ask who invited you";
        return Err(Error::new(ErrorCode::OrganizationSuspended, message).into());
    }
    Ok(organization)
}

async fn become_somebody(
    connection: &mut AsyncPgConnection,
    invited: &Invited,
    id: UserId,
    person: &NewPerson,
) -> Result<(), Failure> {
    let email: Email = invited.email.parse().map_err(Error::internal)?;
    match user_insert(connection, id, &email, &person.name, None).await {
        // Somebody became that person in between.
        Err(Failure::Refused(_)) => return Err(log_in_first().into()),
        inserted => inserted?,
    };
    Ok(password_set(connection, id, &person.password).await?)
}

/// Refuses where whoever has logged in is not who was invited.
async fn be_the_invited(
    connection: &mut AsyncPgConnection,
    invited: &Invited,
    user: UserId,
) -> Result<(), Failure> {
    let email: String = users::table.find(user).select(users::email).first(connection).await?;
    if email != invited.email {
        let message = "this invitation is another person's than the one who has logged in";
        return Err(Error::new(ErrorCode::Forbidden, message).into());
    }
    if memberships(connection).await?.len() >= MAX_MEMBERSHIPS {
        let message =
            format!("you are in {MAX_MEMBERSHIPS} organizations, as many as may be: leave one");
        return Err(Error::new(ErrorCode::TooMany, message).into());
    }
    Ok(())
}

/// The person is there: only they themselves can accept.
fn log_in_first() -> Error {
    let message = "the invited person exists: log in as that person, and accept the invitation with the \
                   session";
    Error::new(ErrorCode::Unauthenticated, message)
}

fn no_invitation() -> Error {
    let message = "no such invitation: it is unknown, revoked, expired, or was accepted before; ask who \
                   invited you for another";
    Error::new(ErrorCode::NotFound, message)
}
