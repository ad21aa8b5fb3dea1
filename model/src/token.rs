//! API tokens. The secret is shown once, when it is made; Postgres holds its SHA-256 (the secret
//! has 256 random bits, so a slow hash would add cost and no safety).

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use sha2::{Digest, Sha256};

use crate::id::{OrganizationId, TokenId};
use crate::schema::tokens;

/// What every token's text starts with, so that secret scanners can find one that leaked.
pub const TOKEN_PREFIX: &str = "skep_";

/// A token's row.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable, Insertable)]
#[diesel(table_name = tokens)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The organization that it reaches; `None`: an operator's.
    pub organization_id: Option<OrganizationId>,
    /// For people.
    pub name: String,
    /// SHA-256 of the secret's text.
    pub secret_hash: Vec<u8>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was withdrawn.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}

/// The hash under which a token's secret is stored.
pub fn secret_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
