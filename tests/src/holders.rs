//! Holders of tokens of every kind, put straight into the database: for tests of what each may do, which
//! are not about how they came to be.

use anyhow::Result;
use db::Database;
use model::id::{MemberId, TokenId, UserId};
use model::member::Role;
use model::token::{SECRET_BYTES, TokenKind, TokenScope, secret_hash, secret_text};
use model::user::PlatformRole;
use rand::RngExt as _;

use crate::sql;

/// What a token is to be.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// An organization's, by its slug.
    Organization(&'a str),
    /// A member's of an organization.
    Member(&'a str, Role),
    /// A person's without any role.
    Nobody,
    /// The platform's.
    Platform(PlatformRole),
}

/// Makes a token of this kind, person and membership included; returns its secret.
pub async fn holder(
    owner: &Database,
    holder: Holder<'_>,
    kind: TokenKind,
    scopes: &[TokenScope],
) -> Result<String> {
    let secret = secret_text(kind.mark(), &rand::rng().random::<[u8; SECRET_BYTES]>());
    let organization = |slug: &str| format!("(SELECT id FROM organizations WHERE slug = '{slug}')");
    let user = UserId::new();
    let (of_organization, of_user, platform_role) = match holder {
        Holder::Organization(slug) => (organization(slug), "NULL".into(), "NULL".into()),
        Holder::Platform(role) => ("NULL".into(), "NULL".into(), format!("'{role}'")),
        Holder::Member(..) | Holder::Nobody => {
            let id = user.as_uuid();
            let insert = format!(
                "INSERT INTO users (id, email, name) VALUES ('{id}', '{id}@example.org', 'x')"
            );
            sql::execute(owner, &insert).await?;
            ("NULL".into(), format!("'{id}'"), "NULL".into())
        }
    };
    if let Holder::Member(slug, role) = holder {
        let (id, user, organization) =
            (MemberId::new().as_uuid(), user.as_uuid(), organization(slug));
        let insert = format!(
            "INSERT INTO members (id, organization_id, user_id, role)
             VALUES ('{id}', {organization}, '{user}', '{role}')"
        );
        sql::execute(owner, &insert).await?;
    }
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let insert = format!(
        "INSERT INTO tokens (id, kind, organization_id, user_id, platform_role, name, scopes, secret_hash)
         VALUES ('{}', '{kind}', {of_organization}, {of_user}, {platform_role}, 'test', '{{{}}}', '\\x{}')",
        TokenId::new().as_uuid(),
        scopes.join(","),
        hex::encode(secret_hash(&secret))
    );
    sql::execute(owner, &insert).await?;
    Ok(secret)
}
