//! API tokens, and the sessions that a login makes: both are tokens. The secret is shown once, when it
//! is made; Postgres holds its SHA-256 (the secret has 256 random bits, so a slow hash would add cost
//! and no safety).

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::id::{EnvironmentId, OrganizationId, TokenId, UserId};
use crate::schema::tokens;
use crate::text_enum::text_enum;
use crate::user::PlatformRole;

/// What every secret's text starts with.
pub const SECRET_PREFIX: &str = "skep_";
/// Random bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Bytes of its checksum: the first ones of the SHA-256 of the text before it.
const CHECKSUM_BYTES: usize = 4;

text_enum! {
    /// Whose a token is.
    pub enum TokenKind {
        /// The platform's: an operator's tools.
        Platform => "platform",
        /// An organization's: its pipelines.
        Organization => "organization",
        /// A person's.
        Personal => "personal",
        /// A person's, made by a login.
        Session => "session",
    }
}

impl TokenKind {
    /// What the text of its secret says of it, for people and secret scanners.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Platform => "ops",
            Self::Organization => "org",
            Self::Personal => "usr",
            Self::Session => "ses",
        }
    }
}

text_enum! {
    /// What a token may be used for. Beside it, its holder's role decides.
    pub enum TokenScope {
        /// To read.
        Read => "read",
        /// To change what runs of the apps that there are, and to read.
        Deploy => "deploy",
        /// To change apps, environments, members and tokens, to deploy and to read.
        Manage => "manage",
        /// To read usage, and to set plans, quotas and suspensions.
        Billing => "billing",
        /// To act on the platform itself, and everything else.
        Admin => "admin",
    }
}

impl TokenScope {
    /// Whether a token with this scope may be used where `needed` is.
    pub const fn includes(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Admin, _)
            | (Self::Manage, Self::Manage | Self::Deploy | Self::Read)
            | (Self::Deploy, Self::Deploy | Self::Read)
            | (Self::Billing, Self::Billing)
            | (Self::Read, Self::Read) => true,
            (Self::Manage, _) | (Self::Deploy, _) | (Self::Billing, _) | (Self::Read, _) => false,
        }
    }
}

/// A token's row.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = tokens)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The organization whose it is.
    pub organization_id: Option<OrganizationId>,
    /// For people.
    pub name: String,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was withdrawn.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
    /// Whose it is.
    pub kind: TokenKind,
    /// The person whose it is.
    pub user_id: Option<UserId>,
    /// What a platform token may do to the platform.
    pub platform_role: Option<PlatformRole>,
    /// What it may be used for.
    pub scopes: Vec<TokenScope>,
    /// The environments that it reaches; `None`: every one.
    pub environments: Option<Vec<EnvironmentId>>,
    /// The networks that it may be used from; `None`: from anywhere.
    pub networks: Option<Vec<IpNet>>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The token that took its place.
    pub rotated_to: Option<TokenId>,
}

/// The text of a secret: prefix, mark, the random bytes in hexadecimal, and a checksum, by which a
/// scanner tells a real one from a text that looks like one.
pub fn secret_text(mark: &str, random: &[u8; SECRET_BYTES]) -> String {
    let text = format!("{SECRET_PREFIX}{mark}_{}", hex::encode(random));
    let sum = checksum(&text);
    text + &sum
}

/// Whether a text could be a secret of ours; what could not costs no look-up.
pub fn is_secret(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(SECRET_PREFIX) else { return false };
    let is_hex =
        |digits: &str| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match rest.split_once('_') {
        Some((_, digits)) => {
            digits.len() == 2 * (SECRET_BYTES + CHECKSUM_BYTES) && is_hex(digits) && {
                let (body, sum) = text.split_at(text.len() - 2 * CHECKSUM_BYTES);
                checksum(body) == sum
            }
        }
        // Made by an older version.
        None => rest.len() == 2 * SECRET_BYTES && is_hex(rest),
    }
}

fn checksum(text: &str) -> String {
    hex::encode(&secret_hash(text)[..CHECKSUM_BYTES])
}

/// The hash under which a secret is stored.
pub fn secret_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_checksum() {
        for kind in TokenKind::ALL {
            let text = secret_text(kind.mark(), &[7; SECRET_BYTES]);
            assert!(is_secret(&text), "{text}");
            assert!(!is_secret(&text.replacen("07", "08", 1)), "another digit");
            assert!(!is_secret(&text.replacen(kind.mark(), "xyz", 1)), "another mark");
        }
        assert!(is_secret(&format!("skep_{}", "0a".repeat(32))), "one of an older version");
        let zeroes = "0".repeat(72);
        for bad in ["", "skep_", "skep_org_", &format!("skep_org_{zeroes}"), &zeroes, "skep_ä_"] {
            assert!(!is_secret(bad), "{bad}");
        }
    }

    #[test]
    fn a_wider_scope_includes_the_narrower() {
        use TokenScope::{Admin, Billing, Deploy, Manage, Read};
        let included = |scope: TokenScope| -> Vec<TokenScope> {
            TokenScope::ALL.iter().copied().filter(|needed| scope.includes(*needed)).collect()
        };
        assert_eq!(included(Read), [Read]);
        assert_eq!(included(Deploy), [Read, Deploy]);
        assert_eq!(included(Manage), [Read, Deploy, Manage]);
        assert_eq!(included(Billing), [Billing]);
        assert_eq!(included(Admin), TokenScope::ALL);
    }
}
