//! Sessions: the tokens that a person's logins made, as the person sees them. How one comes to be is in
//! `logins`.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::id::{TokenId, UserId};
use model::schema::tokens;
use model::token::{Token, TokenKind};
use model::{Error, Result};

use crate::audit::{Mutation, audit_insert};
use crate::failure::{self, Failure};
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::Request;
use crate::scope::UserScope;

/// A person's own sessions that work, newest first.
pub async fn session_list(
    database: &Database,
    scope: UserScope,
    page: PageRequest,
) -> Result<Page<Token>> {
    let mut connection = database.person(scope.user()).await?;
    let mut query = tokens::table
        .filter(tokens::user_id.eq(scope.user()))
        .filter(tokens::kind.eq(TokenKind::Session))
        .filter(tokens::revoked_at.is_null())
        .filter(tokens::expires_at.gt(now().nullable()))
        .select(Token::as_select())
        .order(tokens::id.desc())
        .limit(page.fetch())
        .into_boxed();
    if let Some(cursor) = page.after {
        query = query.filter(tokens::id.lt(TokenId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |token: &Token| token.id.as_uuid()))
}

/// Ends a session of a person: within a second no process takes it any more. One that has ended stays as it
/// is.
pub async fn session_end(
    database: &Database,
    scope: UserScope,
    id: TokenId,
    request: &Request,
) -> Result<()> {
    let mut connection = database.person(scope.user()).await?;
    connection
        .transaction(async |connection| {
            let session = tokens::table
                .find(id)
                .filter(tokens::user_id.eq(scope.user()))
                .filter(tokens::kind.eq(TokenKind::Session));
            let revoked_at: Option<chrono::DateTime<chrono::Utc>> = session
                .select(tokens::revoked_at)
                .for_no_key_update()
                .first(connection)
                .await
                .optional()?
                .ok_or_else(|| Error::not_found("session"))?;
            if revoked_at.is_some() {
                return Ok::<_, Failure>(());
            }
            diesel::update(tokens::table.find(id))
                .set((tokens::revoked_at.eq(now().nullable()), tokens::updated_at.eq(now())))
                .execute(connection)
                .await?;
            let mutation = Mutation {
                organization: None,
                action: "session.end",
                object: id.to_string(),
                before: None,
                after: None,
                deployment: None,
            };
            Ok(audit_insert(connection, &request.actor, mutation).await?)
        })
        .await?;
    Ok(())
}

/// Ends every session of a person, but for this one. On a connection that is told the person.
pub(crate) async fn sessions_end(
    connection: &mut AsyncPgConnection,
    user: UserId,
    except: Option<TokenId>,
) -> diesel::QueryResult<usize> {
    let mut query = diesel::update(tokens::table)
        .filter(tokens::user_id.eq(user))
        .filter(tokens::kind.eq(TokenKind::Session))
        .filter(tokens::revoked_at.is_null())
        .set((tokens::revoked_at.eq(now().nullable()), tokens::updated_at.eq(now())))
        .into_boxed();
    if let Some(id) = except {
        query = query.filter(tokens::id.ne(id));
    }
    query.execute(connection).await
}
