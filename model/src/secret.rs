//! Secrets and configs: values that an environment's apps get as files. Both are one thing of two kinds: sealed where it is stored,
//! versioned, never shown again. They differ in how much they hold, and in where they stand in a container.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Violation;
use crate::id::{EnvironmentId, OrganizationId, SecretId, SecretVersionId};
use crate::schema::{secret_versions, secrets};
use crate::text_enum::text_enum;
use crate::{Error, Result};

/// Where Swarm puts secrets in a container.
pub const SECRETS_DIRECTORY: &str = "/run/secrets";
/// Most secrets, and most configs, of an environment.
pub const MAX_SECRETS: i64 = 256;
/// Longest rotation period, in days.
pub const MAX_ROTATION_DAYS: i32 = 3650;
/// Longest name, in characters: the name of a file.
pub const MAX_NAME: usize = 63;
/// What a name is, as a regular expression.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$";
/// The same for people.
pub const NAME_RULE: &str =
    "1 to 63 of a-z, A-Z, 0-9, . _ -; begins and ends with a letter or a digit; no id";

text_enum! {
    /// What a value is to its app.
    pub enum SecretKind {
        /// A file below `/run/secrets`, in memory.
        Secret => "secret",
        /// A file at a path of the app's choice.
        Config => "config",
    }
}

impl SecretKind {
    /// Most bytes of a value. SwarmKit refuses secrets of 500 KiB and configs of 1000 KiB, and what is larger.
    pub const fn most_bytes(self) -> usize {
        match self {
            Self::Secret => 500 * 1024 - 1,
            Self::Config => 1000 * 1024 - 1,
        }
    }

    /// The field of an app's spec that refers to them, and the segment of their paths.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Config => "configs",
        }
    }

    /// Refuses a value that Swarm would not take.
    pub fn check_value(self, bytes: usize) -> Result<()> {
        if (1..=self.most_bytes()).contains(&bytes) {
            return Ok(());
        }
        let rule = format!("1 to {} bytes; this has {bytes}", self.most_bytes());
        Err(Error::invalid(vec![Violation::new("value", rule)]))
    }
}

/// A checked name of a secret or a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName(String);

/// The text was none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{NAME_RULE}")]
pub struct InvalidSecretName;

impl SecretName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The environment variable that says where the file of this name is: `db-password` is told by `DB_PASSWORD_FILE`.
    pub fn variable(&self) -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let digit = if self.0.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        format!("{digit}{}_FILE", self.0.chars().map(word).collect::<String>())
    }
}

impl std::str::FromStr for SecretName {
    type Err = InvalidSecretName;

    fn from_str(text: &str) -> Result<Self, InvalidSecretName> {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let fits = text.len() <= MAX_NAME
            && end(text.chars().next())
            && end(text.chars().next_back())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            // A path names it by either.
            && text.parse::<SecretId>().is_err();
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidSecretName) }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reference of an app to a secret or a config of its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// Its name.
    pub name: String,
    /// Which version; `None`: the newest one, whenever a release is made. A release always has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Whether a release has this version because it was the newest one: it is to have the next one, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
}

/// A reference to a config, and where its file is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRef {
    /// Which.
    #[serde(flatten)]
    pub config: SecretRef,
    /// Absolute path of the file in the container.
    pub path: String,
}

/// What becomes a file in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountedRef<'a> {
    /// A secret or a config.
    pub kind: SecretKind,
    /// Which.
    pub reference: &'a SecretRef,
    /// A config's path.
    config_path: Option<&'a str>,
}

impl<'a> MountedRef<'a> {
    /// Of a secret.
    pub const fn secret(reference: &'a SecretRef) -> Self {
        Self { kind: SecretKind::Secret, reference, config_path: None }
    }

    /// Of a config.
    pub fn config(reference: &'a ConfigRef) -> Self {
        let config_path = Some(reference.path.as_str());
        Self { kind: SecretKind::Config, reference: &reference.config, config_path }
    }

    /// Path of the file in the container.
    pub fn path(&self) -> String {
        match self.config_path {
            Some(path) => path.to_owned(),
            None => format!("{SECRETS_DIRECTORY}/{}", self.reference.name),
        }
    }

    /// The variable that tells the path; none where the name is none.
    pub fn variable(&self) -> Option<String> {
        self.reference.name.parse().ok().map(|name: SecretName| name.variable())
    }

    /// The field that it stands in, for people.
    pub fn field(&self) -> String {
        format!("{}.{}", self.kind.plural(), self.reference.name)
    }
}

/// A secret's or a config's row.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable, Identifiable)]
#[diesel(table_name = secrets)]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// Where it is.
    pub environment_id: EnvironmentId,
    /// What it is to apps.
    pub kind: SecretKind,
    /// Unique among those of its kind in the environment.
    pub name: String,
    /// Number of the newest version.
    pub last_version: i32,
    /// How many days its newest version may be old; `None`: as many as it likes.
    pub rotation_days: Option<i32>,
    /// When it was removed.
    pub removed_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}

impl Secret {
    /// When its newest version, made then, is to be replaced.
    pub fn rotation_due(&self, newest: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let period = TimeDelta::try_days(i64::from(self.rotation_days?))?;
        newest.checked_add_signed(period)
    }
}

/// A version's row, without its value.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = secret_versions)]
pub struct SecretVersion {
    /// Its id.
    pub id: SecretVersionId,
    /// Of what.
    pub secret_id: SecretId,
    /// Its number.
    pub number: i32,
    /// Bytes of its value.
    pub bytes: i32,
    /// When its value was thrown away, because no release needed it any more.
    pub collected_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What a version's value is sealed with: it opens as that of this row, and of no other.
pub fn identity(
    organization: OrganizationId,
    secret: SecretId,
    version: SecretVersionId,
) -> String {
    format!("{organization}/{secret}/{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_files_and_variables() {
        let variable = |name: &str| name.parse().ok().map(|name: SecretName| name.variable());
        assert_eq!(variable("db-password").as_deref(), Some("DB_PASSWORD_FILE"));
        assert_eq!(variable("tls.crt").as_deref(), Some("TLS_CRT_FILE"));
        assert_eq!(variable("2fa").as_deref(), Some("_2FA_FILE"));
        let id = SecretId::new().to_string();
        for bad in ["", ".", "..", "a/b", "-a", "a.", "a b", "é", &"a".repeat(64), &id] {
            assert_eq!(variable(bad), None, "{bad}");
        }
    }

    #[test]
    fn values_are_what_swarm_takes() {
        for (kind, most) in [(SecretKind::Secret, 511_999), (SecretKind::Config, 1_023_999)] {
            assert!(kind.check_value(most).is_ok() && kind.check_value(1).is_ok());
            assert!(kind.check_value(most + 1).is_err() && kind.check_value(0).is_err());
        }
    }
}
