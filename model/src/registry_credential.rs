//! Credentials for image registries: what an organization shows a registry, so that its images are resolved and pulled with its own rights
//! and nobody else's.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::{OrganizationId, RegistryCredentialId};
use crate::image::is_registry;
use crate::schema::registry_credentials;
use crate::text_enum::text_enum;

/// Most of an organization.
pub const MAX_CREDENTIALS: i64 = 64;
/// Longest secret of one, in bytes.
pub const MAX_SECRET: usize = 16 * 1024;
/// The rule of registries, for people.
pub const REGISTRY_RULE: &str = "a registry's host, with :port where it has one, as image references name it: ghcr.io, docker.io";
/// The rule of user names, for people.
pub const USERNAME_RULE: &str = "1 to 255 characters without control characters";

text_enum! {
    /// What kind of credential it is.
    pub enum CredentialKind {
        /// A user name and a password.
        Basic => "basic",
        /// An identity token, which the registry changes for what it likes.
        Token => "token",
        /// What the platform's refresh command makes a user name and a password of, again and again.
        ShortLived => "short_lived",
    }
}

text_enum! {
    /// What a registry said of one.
    pub enum CredentialStatus {
        /// It takes it.
        Accepted => "accepted",
        /// It refuses it.
        Refused => "refused",
        /// It did not answer.
        Unreachable => "unreachable",
    }
}

/// A registry's name as images have it: Docker Hub is `docker.io`. `None`: the text is none.
pub fn registry_name(text: &str) -> Option<&str> {
    match text {
        "index.docker.io" | "registry-1.docker.io" => Some("docker.io"),
        _ => (text.len() <= 255 && is_registry(text)).then_some(text),
    }
}

/// A credential's row, without its secret.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = registry_credentials)]
pub struct RegistryCredential {
    /// Its id.
    pub id: RegistryCredentialId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// The registry.
    pub registry: String,
    /// What kind it is.
    pub kind: CredentialKind,
    /// Who logs in; `None`: the secret says so by itself.
    pub username: Option<String>,
    /// Raised with each secret that takes the place of the one before.
    pub version: i32,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When a worker asked the registry last.
    pub checked_at: Option<DateTime<Utc>>,
    /// What it said.
    pub check_status: Option<CredentialStatus>,
    /// In its words.
    pub check_answer: Option<String>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}

/// What a credential's secret is sealed with: it opens as that of this organization for this registry.
pub fn identity(organization: OrganizationId, registry: &str) -> String {
    format!("{organization}/registry/{registry}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_has_one_name() {
        assert_eq!(registry_name("index.docker.io"), Some("docker.io"));
        assert_eq!(registry_name("127.0.0.1:5000"), Some("127.0.0.1:5000"));
        for bad in ["", "https://ghcr.io", "ghcr.io/acme", "a b", "-a.io", "host:port"] {
            assert_eq!(registry_name(bad), None, "{bad}");
        }
    }
}
