//! Credentials: whom a secret belongs to. The one question of every request; everything else about
//! tokens is in `tokens`.

use diesel::prelude::*;
use diesel::sql_types::{Array, Binary, Bool, Cidr, Jsonb, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use model::Result;
use model::id::{EnvironmentId, OrganizationId, TokenId, UserId};
use model::member::Role;
use model::policy::PolicyException;
use model::rate::Rates;
use model::stored::Stored;
use model::token::{TokenKind, TokenScope};
use model::user::PlatformRole;

use crate::failure;
use crate::pool::Database;
use crate::prepared::Prepared;
use crate::segment::Segment;

/// Whom a secret belongs to, and what it is in the organization that was asked for.
#[derive(Debug, Clone, QueryableByName)]
pub struct Holder {
    /// The token.
    #[diesel(sql_type = Uuid)]
    pub token: TokenId,
    /// Whose it is.
    #[diesel(sql_type = Text)]
    pub kind: TokenKind,
    /// The person whose it is.
    #[diesel(sql_type = Nullable<Uuid>)]
    pub user_id: Option<UserId>,
    /// What it may do to the platform.
    #[diesel(sql_type = Nullable<Text>)]
    pub platform_role: Option<PlatformRole>,
    /// What it may be used for.
    #[diesel(sql_type = Array<Text>)]
    pub scopes: Vec<TokenScope>,
    /// The networks that it may be used from; `None`: from anywhere.
    #[diesel(sql_type = Nullable<Array<Cidr>>)]
    pub networks: Option<Vec<IpNet>>,
    /// The environments that it reaches; `None`: every one.
    #[diesel(sql_type = Nullable<Array<Uuid>>)]
    environment_ids: Option<Vec<EnvironmentId>>,
    /// Their slugs.
    #[diesel(sql_type = Nullable<Array<Text>>)]
    environment_slugs: Option<Vec<String>>,
    /// Whether its last use was stamped within the minute.
    #[diesel(sql_type = Nullable<Bool>)]
    pub is_used_lately: Option<bool>,
    /// The organization that was asked for; `None`: there is none.
    #[diesel(sql_type = Nullable<Uuid>)]
    pub organization: Option<OrganizationId>,
    /// What the holder is in it; `None`: no member.
    #[diesel(sql_type = Nullable<Text>)]
    pub role: Option<Role>,
    /// Whether it is suspended.
    #[diesel(sql_type = Bool)]
    pub suspended: bool,
    /// What it may have beyond the policy.
    #[diesel(sql_type = Array<Text>)]
    pub policy_exceptions: Vec<PolicyException>,
    /// Requests a minute that are taken of it.
    #[diesel(sql_type = Jsonb)]
    pub rates: Stored<Rates>,
}

impl Holder {
    /// Whether the organization that was asked for is there for the holder.
    pub const fn is_somebody(&self) -> bool {
        self.organization.is_some() && (self.role.is_some() || self.platform_role.is_some())
    }

    /// Whether it is bound to environments.
    pub const fn is_bound(&self) -> bool {
        self.environment_ids.is_some()
    }

    /// Whether it reaches the environment that a path names.
    pub fn reaches(&self, environment: &Segment<EnvironmentId>) -> bool {
        let Some(ids) = &self.environment_ids else { return true };
        match environment {
            Segment::Id(id) => ids.contains(id),
            Segment::Slug(slug) => {
                self.environment_slugs.iter().flatten().any(|bound| bound == slug)
            }
        }
    }
}

/// Finds the holder of a secret, and what it is in an organization. `None`: unknown, revoked, expired, or
/// of a person who is shut out.
pub async fn credential_find(
    database: &Database,
    hash: &[u8; 32],
    organization: Option<&Segment<OrganizationId>>,
) -> Result<Option<Holder>> {
    let (id, slug) = match organization {
        Some(Segment::Id(id)) => (Some(*id), None),
        Some(Segment::Slug(slug)) => (None, Some(slug.as_str())),
        None => (None, None),
    };
    let mut connection = database.connection().await?;
    let query = diesel::sql_query("SELECT * FROM token_holder($1, $2, $3)")
        .bind::<Binary, _>(hash.as_slice())
        .bind::<Nullable<Uuid>, _>(id)
        .bind::<Nullable<Text>, _>(slug);
    Prepared(query).get_result(&mut connection).await.optional().map_err(failure::postgres)
}

/// Stamps the last use of tokens, each at most once a minute.
pub async fn credentials_used(database: &Database, tokens: &[TokenId]) -> Result<()> {
    let mut connection = database.connection().await?;
    let query = diesel::sql_query("SELECT tokens_used($1)").bind::<Array<Uuid>, _>(tokens);
    Prepared(query).execute(&mut connection).await.map_err(failure::postgres)?;
    Ok(())
}
