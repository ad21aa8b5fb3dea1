//! API tokens: made once, found by the hash of their secret.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::Result;
use model::id::{OrganizationId, TokenId};
use model::schema::{organizations, tokens};
use model::token::{TOKEN_PREFIX, Token, secret_hash};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};

use crate::audit::Mutation;
use crate::failure::{self, Failure};
use crate::now::now;
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::{OperatorScope, OrgScope};

/// A token that was just made: the only moment in which its secret can be read.
pub struct NewToken {
    /// Its row.
    pub token: Token,
    /// What the holder sends.
    pub secret: SecretString,
}

/// Whom a secret belongs to.
#[derive(Debug, Clone)]
pub struct TokenHolder {
    /// The token.
    pub token: TokenId,
    /// The organization and its slug; `None`: an operator.
    pub organization: Option<(OrganizationId, String)>,
}

/// Finds the holder of a secret. `None`: unknown, revoked or expired.
pub async fn token_authenticate(
    database: &Database,
    hash: &[u8; 32],
) -> Result<Option<TokenHolder>> {
    let mut connection = database.connection().await?;
    let found: Option<(TokenId, Option<OrganizationId>, Option<String>)> = tokens::table
        .left_join(organizations::table)
        .filter(tokens::secret_hash.eq(hash.as_slice()))
        .filter(tokens::revoked_at.is_null())
        .filter(tokens::expires_at.is_null().or(tokens::expires_at.gt(now().nullable())))
        .select((tokens::id, tokens::organization_id, organizations::slug.nullable()))
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?;
    Ok(found.map(|(token, organization, slug)| TokenHolder {
        token,
        organization: organization.zip(slug),
    }))
}

/// Makes a token of an organization. Only operators hand them out (until members can).
pub async fn token_create(
    database: &Database,
    _operator: OperatorScope,
    organization: OrgScope,
    name: &str,
    request: &Request,
    answer: impl Fn(NewToken) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let mut connection = database.connection().await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let made = token_insert(connection, Some(organization.organization()), name).await?;
            let mutation = Mutation {
                organization: Some(organization.organization()),
                action: "token.create",
                object: made.token.id.to_string(),
                before: None,
                after: Some(serde_json::json!({ "name": name })),
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
    organization: Option<OrganizationId>,
    name: &str,
) -> diesel::QueryResult<NewToken> {
    let mut bits = [0u8; 32];
    rand::rng().fill_bytes(&mut bits);
    let secret = SecretString::from(format!("{TOKEN_PREFIX}{}", hex::encode(bits)));
    let token = diesel::insert_into(tokens::table)
        .values((
            tokens::id.eq(TokenId::new()),
            tokens::organization_id.eq(organization),
            tokens::name.eq(name),
            tokens::secret_hash.eq(secret_hash(secret.expose_secret()).as_slice()),
        ))
        .returning(Token::as_returning())
        .get_result(connection)
        .await?;
    Ok(NewToken { token, secret })
}
