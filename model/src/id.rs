//! Typed ids: a UUID version 7 inside, `prefix_` and 26 lower-case Crockford characters outside
//! (`app_01jd3k…`). The type keeps a deployment's id from being passed where an app's is meant;
//! the prefix does the same for people.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;
use uuid::Uuid;

/// Why a text is not the id it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id here reads {prefix}_ and 26 characters of Crockford's base 32")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

macro_rules! typed_id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, ordered by time (UUID version 7).
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as Postgres stores it.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                read_id(text, $prefix).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                <Uuid as diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::to_sql(
                    &self.0, out)
            }
        }

        impl diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                <Uuid as diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::from_sql(
                    bytes).map(Self)
            }
        }
    };
}

typed_id!(
    /// An organization: the tenant.
    OrganizationId, "org"
);
typed_id!(
    /// An environment of an organization.
    EnvironmentId, "env"
);
typed_id!(
    /// The overlay network of an environment.
    NetworkId, "net"
);
typed_id!(
    /// An app.
    AppId, "app"
);
typed_id!(
    /// A release of an app.
    ReleaseId, "rel"
);
typed_id!(
    /// A deployment: one attempt to change what runs.
    DeploymentId, "dep"
);
typed_id!(
    /// An API token.
    TokenId, "tok"
);
typed_id!(
    /// A user: a person who logs in.
    UserId, "usr"
);
typed_id!(
    /// A membership.
    MemberId, "mem"
);
typed_id!(
    /// An invitation into an organization.
    InvitationId, "inv"
);
typed_id!(
    /// A password that may be set without the old one, once.
    PasswordResetId, "pwr"
);
typed_id!(
    /// A range that networks are carved from.
    SubnetPoolId, "pool"
);
typed_id!(
    /// A range that no network is given.
    ReservedRangeId, "rng"
);
typed_id!(
    /// A check of whether environments are apart.
    IsolationCheckId, "chk"
);
typed_id!(
    /// A row of the audit log.
    AuditId, "aud"
);
typed_id!(
    /// A time in which an app's health stayed the same.
    HealthId, "hlt"
);
typed_id!(
    /// Something in Swarm that is not as Postgres has it.
    DriftId, "drf"
);
typed_id!(
    /// A secret or a config of an environment.
    SecretId, "sec"
);
typed_id!(
    /// A version of a secret or a config.
    SecretVersionId, "ver"
);
typed_id!(
    /// A credential for an image registry.
    RegistryCredentialId, "cred"
);
typed_id!(
    /// A running worker process, as the holder of leases.
    WorkerId, "wrk"
);

fn write_id(f: &mut fmt::Formatter<'_>, prefix: &str, uuid: Uuid) -> fmt::Result {
    let mut buffer = [0; ulid::ULID_LEN];
    let text = Ulid::from(uuid).array_to_str(&mut buffer);
    text.make_ascii_lowercase();
    write!(f, "{prefix}_{text}")
}

fn read_id(text: &str, prefix: &'static str) -> Result<Uuid, InvalidId> {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        // Of the decoder's other spellings only capitals are ours; it also drops what is more than 128 bits.
        .and_then(|rest| {
            Ulid::from_string(rest).ok().filter(|id| id.to_string().eq_ignore_ascii_case(rest))
        })
        .map(Uuid::from)
        .ok_or(InvalidId { prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = AppId::new();
        let text = id.to_string();
        assert_eq!(text.len(), "app_".len() + 26);
        assert_eq!(text, text.to_lowercase());
        assert_eq!(text.parse::<AppId>().ok(), Some(id));
    }

    #[test]
    fn a_foreign_prefix_is_refused() {
        let text = AppId::new().to_string();
        assert_eq!(text.parse::<DeploymentId>(), Err(InvalidId { prefix: "dep" }));
    }
}
