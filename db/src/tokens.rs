//! API tokens: made once, listed, rotated, revoked. Whose they are is their [`Owner`]: every query is
//! confined to it.

mod owner;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use ipnet::IpNet;
use model::error::{ErrorCode, Violation};
use model::id::{EnvironmentId, OrganizationId, TokenId, UserId};
use model::schema::{environments, tokens};
use model::token::{SECRET_BYTES, Token, TokenKind, TokenScope, secret_hash, secret_text};
use model::user::PlatformRole;
use model::{Error, Result};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};

pub use owner::Owner;
use owner::{Allowed, owned};

use crate::audit::{Mutation, audit_insert};
use crate::credentials::Holder;
use crate::failure::{self, Failure};
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::segment::Segment;

/// Most tokens of one owner that work at once.
pub const MAX_TOKENS: i64 = 100;
/// The longest that a rotated token works on beside the one that took its place.
pub const MAX_OVERLAP: TimeDelta = TimeDelta::days(7);

/// A token that is asked for.
#[derive(Debug, Clone)]
pub struct TokenDraft {
    /// For people.
    pub name: String,
    /// What it may be used for: no more than what makes it.
    pub scopes: Vec<TokenScope>,
    /// What a platform token may do to the platform.
    pub platform_role: Option<PlatformRole>,
    /// The environments that it reaches; empty: every one.
    pub environments: Vec<Segment<EnvironmentId>>,
    /// The networks that it may be used from; empty: from anywhere.
    pub networks: Vec<IpNet>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token that was just made: the only moment in which its secret can be read.
pub struct NewToken {
    /// Its row.
    pub token: Token,
    /// What the holder sends.
    pub secret: SecretString,
}

/// The row that is written.
#[derive(Insertable)]
#[diesel(table_name = tokens)]
pub(crate) struct TokenRow {
    pub(crate) id: TokenId,
    pub(crate) kind: TokenKind,
    pub(crate) organization_id: Option<OrganizationId>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) platform_role: Option<PlatformRole>,
    pub(crate) name: String,
    pub(crate) scopes: Vec<TokenScope>,
    pub(crate) environments: Option<Vec<EnvironmentId>>,
    pub(crate) networks: Option<Vec<IpNet>>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// Makes a token of `owner`, which may do no more than `maker`.
pub async fn token_create(
    database: &Database,
    owner: Owner,
    maker: &Holder,
    draft: &TokenDraft,
    request: &Request,
    answer: impl Fn(NewToken) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let owner = owner.manage()?;
    within(maker, &draft.scopes, &draft.networks)?;
    let mut connection = owner.connection(database).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            few_enough(connection, owner).await?;
            let row = TokenRow {
                id: TokenId::new(),
                kind: owner.kind(),
                organization_id: owner.organization(),
                user_id: owner.person(),
                platform_role: draft.platform_role,
                name: draft.name.clone(),
                scopes: draft.scopes.clone(),
                environments: bound(connection, owner, &draft.environments).await?,
                networks: (!draft.networks.is_empty()).then(|| draft.networks.clone()),
                expires_at: draft.expires_at,
            };
            let made = token_insert(connection, &row).await?;
            let mutation = Mutation {
                organization: owner.organization(),
                action: "token.create",
                object: made.token.id.to_string(),
                before: None,
                after: Some(audited(&made.token)),
                deployment: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// The tokens of an owner, newest first, revoked and expired ones included.
pub async fn token_list(
    database: &Database,
    owner: Owner,
    page: PageRequest,
) -> Result<Page<Token>> {
    let owner = owner.read()?;
    let mut connection = owner.connection(database).await?;
    let query = tokens::table
        .select(Token::as_select())
        .order(tokens::id.desc())
        .limit(page.fetch())
        .into_boxed();
    let mut query = owned!(query, owner);
    if let Some(cursor) = page.after {
        query = query.filter(tokens::id.lt(TokenId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |token: &Token| token.id.as_uuid()))
}

/// One token of an owner.
pub async fn token_get(database: &Database, owner: Owner, id: TokenId) -> Result<Token> {
    let owner = owner.read()?;
    let mut connection = owner.connection(database).await?;
    Ok(find(&mut connection, owner, id).await?)
}

/// Revokes a token of an owner: within a second no process takes it any more. One that is revoked stays
/// as it is.
pub async fn token_revoke(
    database: &Database,
    owner: Owner,
    id: TokenId,
    request: &Request,
) -> Result<()> {
    let owner = owner.manage()?;
    let mut connection = owner.connection(database).await?;
    connection
        .transaction(async |connection| {
            let token = find(connection, owner, id).await?;
            let revoked =
                diesel::update(tokens::table.find(token.id).filter(tokens::revoked_at.is_null()))
                    .set((tokens::revoked_at.eq(now().nullable()), tokens::updated_at.eq(now())))
                    .execute(connection)
                    .await?;
            if revoked == 1 {
                let mutation = Mutation {
                    organization: owner.organization(),
                    action: "token.revoke",
                    object: token.id.to_string(),
                    before: Some(audited(&token)),
                    after: None,
                    deployment: None,
                };
                audit_insert(connection, &request.actor, mutation).await?;
            }
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

/// Makes a token like another one, which works on for `overlap`. Whoever rotates it holds it from then on:
/// it may do no more than `maker`.
pub async fn token_rotate(
    database: &Database,
    owner: Owner,
    maker: &Holder,
    id: TokenId,
    overlap: TimeDelta,
    request: &Request,
    answer: impl Fn(NewToken) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let owner = owner.manage()?;
    let mut connection = owner.connection(database).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            let old = find(connection, owner, id).await?;
            refuse_rotation(&old)?;
            within(maker, &old.scopes, old.networks.as_deref().unwrap_or_default())?;
            let row = TokenRow {
                id: TokenId::new(),
                kind: old.kind,
                organization_id: old.organization_id,
                user_id: old.user_id,
                platform_role: old.platform_role,
                name: old.name.clone(),
                scopes: old.scopes.clone(),
                environments: old.environments.clone(),
                networks: old.networks.clone(),
                expires_at: old.expires_at.map(|at| Utc::now() + (at - old.created_at)),
            };
            let until = Utc::now() + overlap.min(MAX_OVERLAP);
            let until = old.expires_at.map_or(until, |at| at.min(until));
            // Before the other one is made: it counts no more from here on, and quotas are locked last.
            let rotated = diesel::update(
                tokens::table
                    .find(old.id)
                    .filter(tokens::rotated_to.is_null())
                    .filter(tokens::revoked_at.is_null()),
            )
            .set((
                tokens::rotated_to.eq(row.id),
                tokens::expires_at.eq(until),
                tokens::updated_at.eq(now()),
            ))
            .execute(connection)
            .await?;
            if rotated == 0 {
                return Err(rotated_before().into());
            }
            let made = token_insert(connection, &row).await?;
            let mutation = Mutation {
                organization: owner.organization(),
                action: "token.rotate",
                object: old.id.to_string(),
                before: Some(audited(&old)),
                after: Some(serde_json::json!({ "token": made.token.id, "works_until": until })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}

/// Inserts a token with a fresh secret of 256 random bits.
pub(crate) async fn token_insert(
    connection: &mut AsyncPgConnection,
    row: &TokenRow,
) -> diesel::QueryResult<NewToken> {
    let secret = secret_new(row.kind.mark());
    let token = diesel::insert_into(tokens::table)
        .values((row, tokens::secret_hash.eq(secret_hash(secret.expose_secret()).as_slice())))
        .returning(Token::as_returning())
        .get_result(connection)
        .await?;
    Ok(NewToken { token, secret })
}

/// A fresh secret of 256 random bits.
pub(crate) fn secret_new(mark: &str) -> SecretString {
    let mut bits = [0u8; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bits);
    SecretString::from(secret_text(mark, &bits))
}

async fn find(
    connection: &mut AsyncPgConnection,
    owner: Allowed,
    id: TokenId,
) -> Result<Token, Failure> {
    let query = tokens::table.filter(tokens::id.eq(id)).select(Token::as_select()).into_boxed();
    let found = owned!(query, owner).first(connection).await.optional()?;
    Ok(found.ok_or_else(|| Error::not_found("token"))?)
}

fn refuse_rotation(old: &Token) -> Result<()> {
    let ended = old.revoked_at.is_some() || old.expires_at.is_some_and(|at| at <= Utc::now());
    if old.rotated_to.is_some() {
        Err(rotated_before())
    } else if ended || old.kind == TokenKind::Session {
        let message = "only a token that works can be rotated, and a session is none: log in again";
        Err(Error::new(ErrorCode::NotRotatable, message))
    } else {
        Ok(())
    }
}

fn rotated_before() -> Error {
    let message = "this token was rotated before; rotate the one that took its place";
    Error::new(ErrorCode::NotRotatable, message)
}

/// Nothing that is made may do more than what makes it, or be used from elsewhere.
fn within(maker: &Holder, scopes: &[TokenScope], networks: &[IpNet]) -> Result<()> {
    let covered = |needed: &TokenScope| maker.scopes.iter().any(|scope| scope.includes(*needed));
    let mut violations: Vec<Violation> = scopes
        .iter()
        .enumerate()
        .filter(|(_, scope)| !covered(scope))
        .map(|(index, scope)| {
            let rule = format!("{scope} is more than the token that you use may do itself");
            Violation::new(format!("scopes.{index}"), rule)
        })
        .collect();
    if let Some(bound) = &maker.networks {
        let is_inside = |network: &IpNet| bound.iter().any(|outer| outer.contains(network));
        if networks.is_empty() || !networks.iter().all(is_inside) {
            let rule = "within the networks that the token that you use is bound to";
            violations.push(Violation::new("networks", rule));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
}

async fn few_enough(connection: &mut AsyncPgConnection, owner: Allowed) -> Result<(), Failure> {
    let query = tokens::table
        .filter(tokens::revoked_at.is_null())
        .filter(tokens::kind.ne(TokenKind::Session))
        .filter(tokens::expires_at.is_null().or(tokens::expires_at.gt(now().nullable())))
        .count()
        .into_boxed();
    let working: i64 = owned!(query, owner).get_result(connection).await?;
    if working < MAX_TOKENS {
        return Ok(());
    }
    let message = format!(
        "there are {working} tokens that work, and no more than {MAX_TOKENS} may: revoke one"
    );
    Err(Error::new(ErrorCode::TooMany, message).into())
}

/// The environments that a token is bound to, each of its own organization.
async fn bound(
    connection: &mut AsyncPgConnection,
    owner: Allowed,
    wanted: &[Segment<EnvironmentId>],
) -> Result<Option<Vec<EnvironmentId>>, Failure> {
    let (Some(organization), false) = (owner.organization(), wanted.is_empty()) else {
        return Ok(None);
    };
    let of_organization: Vec<(EnvironmentId, String)> = environments::table
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .select((environments::id, environments::slug))
        .load(connection)
        .await?;
    let mut found = Vec::new();
    for (index, segment) in wanted.iter().enumerate() {
        let named = of_organization.iter().find(|(id, slug)| match segment {
            Segment::Id(wanted) => wanted == id,
            Segment::Slug(wanted) => wanted == slug,
        });
        match named {
            Some((id, _)) if !found.contains(id) => found.push(*id),
            Some(_) => {}
            None => {
                let rule = "an environment of this organization, by slug or id";
                let violation = Violation::new(format!("environments.{index}"), rule);
                return Err(Error::invalid(vec![violation]).into());
            }
        }
    }
    Ok(Some(found))
}

/// What the audit log keeps of a token.
fn audited(token: &Token) -> serde_json::Value {
    serde_json::json!({
        "kind": token.kind, "name": token.name, "scopes": token.scopes,
        "platform_role": token.platform_role, "environments": token.environments,
        "networks": token.networks, "expires_at": token.expires_at,
    })
}
