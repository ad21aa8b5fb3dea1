//! Users: people, as they see themselves and as operators see them. Nothing in here reads a password.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::email::Email;
use model::error::ErrorCode;
use model::id::{MemberId, OrganizationId, UserId};
use model::member::Role;
use model::policy::access::Action;
use model::schema::users;
use model::user::{PlatformRole, User};
use model::{Error, Result};

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure, violates_unique};
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::passwords::password_reset_revoke;
use crate::pool::Database;
use crate::prepared::Prepared;
use crate::requests::{Answer, Answered, Request};
use crate::scope::{OperatorScope, UserScope};

/// One of a person's organizations, and what they are there.
#[derive(Debug, Clone, QueryableByName)]
pub struct Membership {
    /// The membership.
    #[diesel(sql_type = Uuid)]
    pub id: MemberId,
    /// The organization.
    #[diesel(sql_type = Uuid)]
    pub organization_id: OrganizationId,
    /// Its slug.
    #[diesel(sql_type = Text)]
    pub slug: String,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Since when it can be read and not changed.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub suspended_at: Option<DateTime<Utc>>,
    /// What the person is there.
    #[diesel(sql_type = Text)]
    pub role: Role,
}

/// The person of a scope, with all of their memberships.
pub async fn user_own(database: &Database, scope: UserScope) -> Result<(User, Vec<Membership>)> {
    let mut connection = database.person(scope.user()).await?;
    let user = user_find(&mut connection, scope.user()).await?;
    let memberships = memberships(&mut connection).await.map_err(failure::postgres)?;
    Ok((user, memberships))
}

/// The memberships of the person that the connection was told.
pub(crate) async fn memberships(
    connection: &mut AsyncPgConnection,
) -> diesel::QueryResult<Vec<Membership>> {
    diesel::sql_query("SELECT * FROM memberships()").load(connection).await
}

/// Gives a person another name, their own doing.
pub async fn user_rename(
    database: &Database,
    scope: UserScope,
    name: &str,
    request: &Request,
) -> Result<User> {
    let mut connection = database.person(scope.user()).await?;
    let renamed = connection
        .transaction(async |connection| {
            let before = user_lock(connection, scope.user()).await?;
            let after = diesel::update(users::table.find(before.id))
                .set((users::name.eq(name), users::updated_at.eq(now())))
                .returning(User::as_returning())
                .get_result(connection)
                .await?;
            let mutation = changed("user.update", &before, &after);
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(after)
        })
        .await?;
    Ok(renamed)
}

/// Makes a person, who cannot log in until a reset has set a password.
pub async fn user_create(
    database: &Database,
    operator: OperatorScope,
    email: &Email,
    name: &str,
    platform_role: Option<PlatformRole>,
    request: &Request,
    answer: impl Fn(User) -> Result<Answer> + Sync,
) -> Result<Answered> {
    operator.require(Action::UserManage)?;
    if platform_role.is_some() {
        operator.require(Action::PlatformRoleManage)?;
    }
    let mut connection = database.platform(operator).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            let id = UserId::new();
            let user = user_insert(connection, id, email, name, platform_role).await?;
            let mutation = Mutation {
                organization: None,
                action: "user.create",
                object: user.id.to_string(),
                before: None,
                after: Some(audited(&user)),
                deployment: None,
            };
            request.finish(connection, mutation, answer(user)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Inserts a person; refused where the email is somebody's.
pub(crate) async fn user_insert(
    connection: &mut AsyncPgConnection,
    id: UserId,
    email: &Email,
    name: &str,
    platform_role: Option<PlatformRole>,
) -> Result<User, Failure> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(id),
            users::email.eq(email.as_str()),
            users::name.eq(name),
            users::platform_role.eq(platform_role),
        ))
        .returning(User::as_returning())
        .get_result(connection)
        .await
        .map_err(|error| {
            if violates_unique(&error, "users_email_key") {
                let message = format!("somebody with the email address {email} exists");
                Failure::Refused(Error::new(ErrorCode::AlreadyExists, message))
            } else {
                Failure::from(error)
            }
        })
}

/// People, oldest first; of those whose email begins so.
pub async fn user_list(
    database: &Database,
    operator: OperatorScope,
    email_prefix: Option<&str>,
    page: PageRequest,
) -> Result<Page<User>> {
    operator.require(Action::UserRead)?;
    let mut connection = database.platform(operator).await?;
    let rows: Vec<User> = match email_prefix {
        Some(prefix) => users_by_email(&mut connection, prefix, page).await,
        None => {
            let mut query = users::table
                .select(User::as_select())
                .order(users::id)
                .limit(page.fetch())
                .into_boxed();
            if let Some(cursor) = page.after {
                query = query.filter(users::id.gt(UserId::from(cursor.0)));
            }
            query.load(&mut connection).await
        }
    }
    .map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |user: &User| user.id.as_uuid()))
}

/// Those whose email begins so: found first, and put in order then, or Postgres would go through everybody in the order
/// of the page. As a range of bytes, since LIKE finds the index only in a plan that is made for its pattern: addresses are
/// ASCII, and DEL comes after all that they have.
async fn users_by_email(
    connection: &mut AsyncPgConnection,
    prefix: &str,
    page: PageRequest,
) -> QueryResult<Vec<User>> {
    let from = prefix.to_ascii_lowercase();
    let to = format!("{from}\u{7f}");
    let query = diesel::sql_query(
        "WITH found AS MATERIALIZED (
             SELECT * FROM users WHERE email ~>=~ $1 AND email ~<~ $2
         )
         SELECT * FROM found WHERE id > $3 ORDER BY id LIMIT $4",
    )
    .bind::<Text, _>(from)
    .bind::<Text, _>(to)
    .bind::<Uuid, _>(page.after.map_or(uuid::Uuid::nil(), |cursor| cursor.0))
    .bind::<BigInt, _>(page.fetch());
    Prepared(query).load(connection).await
}

/// One person.
pub async fn user_get(database: &Database, operator: OperatorScope, id: UserId) -> Result<User> {
    operator.require(Action::UserRead)?;
    let mut connection = database.platform(operator).await?;
    user_find(&mut connection, id).await
}

/// What an operator changes of a person; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// What they are called.
    pub name: Option<String>,
    /// What they may do to the platform; inside, `None`: nothing.
    pub platform_role: Option<Option<PlatformRole>>,
    /// Whether they are shut out.
    pub disabled: Option<bool>,
}

/// Changes a person. Who has a role in the platform, or is given one, is for its admins to change.
pub async fn user_update(
    database: &Database,
    operator: OperatorScope,
    id: UserId,
    change: &UserChange,
    request: &Request,
) -> Result<User> {
    operator.require(Action::UserManage)?;
    if change.platform_role.is_some() {
        operator.require(Action::PlatformRoleManage)?;
    }
    let mut connection = database.platform(operator).await?;
    let updated = connection
        .transaction(async |connection| {
            let before = user_manage(connection, operator, id).await?;
            let role = change.platform_role.unwrap_or(before.platform_role);
            if role != before.platform_role {
                // Whoever was let to reset the password of somebody without this role was let to do less.
                password_reset_revoke(connection, id).await?;
            }
            let disabled_at = match change.disabled {
                Some(true) => before.disabled_at.or_else(|| Some(Utc::now())),
                Some(false) => None,
                None => before.disabled_at,
            };
            let after: User = diesel::update(users::table.find(id))
                .set((
                    users::name.eq(change.name.as_deref().unwrap_or(&before.name)),
                    users::platform_role.eq(role),
                    users::disabled_at.eq(disabled_at),
                    users::updated_at.eq(now()),
                ))
                .returning(User::as_returning())
                .get_result(connection)
                .await?;
            let mutation = changed("user.update", &before, &after);
            audit_insert(connection, &request.actor, mutation).await?;
            Ok::<_, Failure>(after)
        })
        .await?;
    Ok(updated)
}

/// The person, locked, if this operator may manage them.
pub(crate) async fn user_manage(
    connection: &mut AsyncPgConnection,
    operator: OperatorScope,
    id: UserId,
) -> Result<User, Failure> {
    let user = user_lock(connection, id).await?;
    if user.platform_role.is_some() {
        operator.require(Action::PlatformRoleManage)?;
    }
    Ok(user)
}

async fn user_lock(connection: &mut AsyncPgConnection, id: UserId) -> Result<User, Failure> {
    let query = users::table.find(id).select(User::as_select()).for_no_key_update();
    let found = query.first(connection).await.optional()?;
    Ok(found.ok_or_else(|| Error::not_found("user"))?)
}

pub(crate) async fn user_find(connection: &mut AsyncPgConnection, id: UserId) -> Result<User> {
    let query = users::table.find(id).select(User::as_select());
    let found = query.first(connection).await.optional().map_err(failure::postgres)?;
    found.ok_or_else(|| Error::not_found("user"))
}

fn changed<'a>(action: &'a str, before: &User, after: &User) -> Mutation<'a> {
    Mutation {
        organization: None,
        action,
        object: after.id.to_string(),
        before: Some(audited(before)),
        after: Some(audited(after)),
        deployment: None,
    }
}

/// What the audit log keeps of a person.
fn audited(user: &User) -> serde_json::Value {
    serde_json::json!({
        "email": user.email, "name": user.name, "platform_role": user.platform_role,
        "disabled_at": user.disabled_at,
    })
}
