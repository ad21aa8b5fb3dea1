//! API tokens: what the endpoints of an organization's, a person's and the platform's tokens have in
//! common. Whose they are is the only difference.

mod objects;
mod organization;
mod person;
mod platform;

use chrono::TimeDelta;
use db::IdempotencyKey;
use db::PageRequest;
use db::tokens::{
    Owner, TokenDraft, token_create, token_get, token_list, token_revoke, token_rotate,
};
use model::id::TokenId;
use poem_openapi::payload::Json;

pub(crate) use organization::OrganizationTokens;
pub(crate) use person::PersonalTokens;
pub(crate) use platform::PlatformTokens;

use objects::{TokenCreated, TokenObject, TokenRevoked, TokenRotate, made};

use crate::access::Access;
use crate::done::Done;
use crate::page::PageObject;
use crate::problem::Problem;

/// How long a rotated token works on where nobody says otherwise.
const OVERLAP: TimeDelta = TimeDelta::days(1);

async fn create<A, S>(
    access: &Access<A, S>,
    owner: Owner,
    draft: TokenDraft,
    key: Option<IdempotencyKey>,
) -> Result<Done<TokenCreated>, Problem> {
    let tokens = format!("{}/tokens", access.path);
    let request = access.request(key);
    let answer = |new| made(&tokens, new);
    let database = &access.state.database;
    let answered = token_create(database, owner, &access.holder, &draft, &request, answer).await?;
    Ok(Done::of(answered)?)
}

async fn list<A, S>(
    access: &Access<A, S>,
    owner: Owner,
    page: PageRequest,
) -> Result<Json<PageObject<TokenObject>>, Problem> {
    let page = token_list(&access.state.database, owner, page).await?;
    Ok(Json(PageObject::of(page, TokenObject::from)))
}

async fn get<A, S>(
    access: &Access<A, S>,
    owner: Owner,
    id: TokenId,
) -> Result<Json<TokenObject>, Problem> {
    Ok(Json(token_get(&access.state.database, owner, id).await?.into()))
}

async fn revoke<A, S>(
    access: &Access<A, S>,
    owner: Owner,
    id: TokenId,
) -> Result<TokenRevoked, Problem> {
    token_revoke(&access.state.database, owner, id, &access.request(None)).await?;
    Ok(TokenRevoked::Revoked)
}

async fn rotate<A, S>(
    access: &Access<A, S>,
    owner: Owner,
    id: TokenId,
    how: &TokenRotate,
    key: Option<IdempotencyKey>,
) -> Result<Done<TokenCreated>, Problem> {
    let tokens = format!("{}/tokens", access.path);
    let overlap = how.overlap_seconds.map_or(OVERLAP, TimeDelta::seconds);
    let request = access.request(key);
    let answer = |new| made(&tokens, new);
    let database = &access.state.database;
    let answered =
        token_rotate(database, owner, &access.holder, id, overlap, &request, answer).await?;
    Ok(Done::of(answered)?)
}
