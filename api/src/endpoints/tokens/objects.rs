//! Tokens as the API takes and shows them.

use chrono::{DateTime, Utc};
use db::Segment;
use db::tokens::{NewToken, TokenDraft};
use ipnet::IpNet;
use model::Error;
use model::error::Violation;
use model::token::{Token, TokenKind, TokenScope};
use model::user::PlatformRole;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};
use secrecy::{ExposeSecret as _, SecretString};
use validator::Validate;

use crate::done::shown_once;
use crate::word::Word;

/// A new token of an organization.
#[derive(Debug, Object, Validate)]
pub(crate) struct OrganizationTokenCreate {
    /// For people: who will hold it.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: String,
    /// What it may be used for; no more than the token that makes it. `["manage"]` where it is not
    /// given.
    #[oai(validator(min_items = 1, max_items = 5, unique_items))]
    scopes: Option<Vec<Word<TokenScope>>>,
    /// The environments that it reaches, by slug or id; every one where it is not given.
    #[oai(validator(min_items = 1, max_items = 32))]
    environments: Option<Vec<String>>,
    /// The networks that it may be used from (CIDR); from anywhere where it is not given.
    #[oai(validator(min_items = 1, max_items = 32))]
    networks: Option<Vec<String>>,
    /// When it stops working; when it is revoked where it is not given.
    expires_at: Option<DateTime<Utc>>,
}

/// A new token of a person.
#[derive(Debug, Object, Validate)]
pub(crate) struct PersonalTokenCreate {
    /// For people: what will hold it.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: String,
    /// What it may be used for. Beside it, the person's roles decide. `["read"]` where it is not given.
    #[oai(validator(min_items = 1, max_items = 5, unique_items))]
    scopes: Option<Vec<Word<TokenScope>>>,
    /// The networks that it may be used from (CIDR); from anywhere where it is not given.
    #[oai(validator(min_items = 1, max_items = 32))]
    networks: Option<Vec<String>>,
    /// When it stops working; when it is revoked where it is not given.
    expires_at: Option<DateTime<Utc>>,
}

/// A new token of the platform.
#[derive(Debug, Object, Validate)]
pub(crate) struct PlatformTokenCreate {
    /// For people: what will hold it.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: String,
    /// What it may do to the platform.
    role: Word<PlatformRole>,
    /// What it may be used for; no more than the token that makes it. `["read"]` where it is not given.
    #[oai(validator(min_items = 1, max_items = 5, unique_items))]
    scopes: Option<Vec<Word<TokenScope>>>,
    /// The networks that it may be used from (CIDR); from anywhere where it is not given.
    #[oai(validator(min_items = 1, max_items = 32))]
    networks: Option<Vec<String>>,
    /// When it stops working; when it is revoked where it is not given.
    expires_at: Option<DateTime<Utc>>,
}

/// How a token is rotated.
#[derive(Debug, Object, Validate)]
pub(crate) struct TokenRotate {
    /// Seconds that the old secret works on beside the new one; a day where it is not given, a week at
    /// most.
    #[oai(validator(minimum(value = "0"), maximum(value = "604800")))]
    pub(super) overlap_seconds: Option<i64>,
}

impl OrganizationTokenCreate {
    pub(super) fn draft(self) -> Result<TokenDraft, Error> {
        let environments = self.environments.iter().flatten().map(String::as_str);
        Ok(TokenDraft {
            environments: environments.map(Segment::from).collect(),
            ..draft(self.name, self.scopes, TokenScope::Manage, self.networks, self.expires_at)?
        })
    }
}

impl PersonalTokenCreate {
    pub(super) fn draft(self) -> Result<TokenDraft, Error> {
        draft(self.name, self.scopes, TokenScope::Read, self.networks, self.expires_at)
    }
}

impl PlatformTokenCreate {
    pub(super) fn draft(self) -> Result<TokenDraft, Error> {
        Ok(TokenDraft {
            platform_role: Some(self.role.0),
            ..draft(self.name, self.scopes, TokenScope::Read, self.networks, self.expires_at)?
        })
    }
}

fn draft(
    name: String,
    scopes: Option<Vec<Word<TokenScope>>>,
    default: TokenScope,
    networks: Option<Vec<String>>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<TokenDraft, Error> {
    if expires_at.is_some_and(|at| at <= Utc::now()) {
        let violation = Violation::new("expires_at", "in the future");
        return Err(Error::invalid(vec![violation]));
    }
    let scopes =
        scopes.map_or_else(|| vec![default], |words| words.iter().map(|word| word.0).collect());
    let mut parsed = Vec::new();
    let mut broken = Vec::new();
    for (index, text) in networks.iter().flatten().enumerate() {
        match text.parse::<IpNet>() {
            // Postgres takes a network without bits beside its mask.
            Ok(network) => parsed.push(network.trunc()),
            Err(_) => {
                let rule = "a network such as 192.0.2.0/24 or 2001:db8::/32";
                broken.push(Violation::new(format!("networks.{index}"), rule));
            }
        }
    }
    if !broken.is_empty() {
        return Err(Error::invalid(broken));
    }
    Ok(TokenDraft {
        name,
        scopes,
        platform_role: None,
        environments: Vec::new(),
        networks: parsed,
        expires_at,
    })
}

/// A token. Its secret is nowhere in here.
#[derive(Debug, Object)]
#[oai(rename = "Token")]
pub(crate) struct TokenObject {
    /// Its id (`tok_…`).
    id: String,
    /// Whose it is.
    kind: Word<TokenKind>,
    /// For people.
    name: String,
    /// What it may be used for.
    scopes: Vec<Word<TokenScope>>,
    /// What a platform token may do to the platform.
    platform_role: Option<Word<PlatformRole>>,
    /// Ids of the environments that it reaches; `null`: every one.
    environments: Option<Vec<String>>,
    /// The networks that it may be used from; `null`: from anywhere.
    networks: Option<Vec<String>>,
    /// When it stops working; `null`: when it is revoked.
    expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    revoked_at: Option<DateTime<Utc>>,
    /// When it was used last, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    /// Id of the token that took its place.
    rotated_to: Option<String>,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<Token> for TokenObject {
    fn from(row: Token) -> Self {
        let texts = |networks: Vec<IpNet>| networks.iter().map(ToString::to_string).collect();
        Self {
            id: row.id.to_string(),
            kind: Word(row.kind),
            name: row.name,
            scopes: row.scopes.into_iter().map(Word).collect(),
            platform_role: row.platform_role.map(Word),
            environments: row.environments.map(|ids| ids.iter().map(ToString::to_string).collect()),
            networks: row.networks.map(texts),
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            rotated_to: row.rotated_to.map(|id| id.to_string()),
            created_at: row.created_at,
        }
    }
}

/// A token that was just made.
#[derive(Object)]
pub(crate) struct TokenMade {
    /// The token.
    #[oai(flatten)]
    token: TokenObject,
    /// What its holder sends as `Authorization: Bearer …`. Shown once, in the answer that made it:
    /// only its hash is kept. `null` in the answer to a repeated request (`Idempotency-Replayed`);
    /// where the first answer was lost, make another token.
    secret: Option<String>,
}

/// The answer to a created token.
#[derive(ApiResponse)]
pub(crate) enum TokenCreated {
    /// It works from now on.
    #[oai(status = 201)]
    Created(
        Json<TokenMade>,
        /// Path of the token.
        #[oai(header = "Location")]
        String,
    ),
}

/// The answer to a revoked token.
#[derive(ApiResponse)]
pub(crate) enum TokenRevoked {
    /// Within a second it works nowhere any more.
    #[oai(status = 204)]
    Revoked,
}

/// What the making of a token is answered with: its secret this once, and without it ever after.
pub(super) fn made(
    tokens: &str,
    NewToken { token, secret }: NewToken,
) -> Result<db::Answer, Error> {
    let location = format!("{tokens}/{}", token.id);
    let created = |token: Token, secret: Option<&SecretString>| {
        let secret = secret.map(|secret| secret.expose_secret().to_owned());
        let made = TokenMade { token: token.into(), secret };
        TokenCreated::Created(Json(made), location.clone())
    };
    shown_once(created(token.clone(), Some(&secret)), created(token, None))
}
