//! Scopes: what a caller may touch, as a type. Authentication makes them; every query of tenant rows
//! takes one and filters by it, so a foreign id finds nothing. A scope gives its organization out for an
//! action only, and only where its holder may do that: a handler that asked for less than it does gets
//! nowhere.

use model::error::ErrorCode;
use model::id::{AppId, EnvironmentId, OrganizationId, SecretId, TokenId, UserId};
use model::policy::Exceptions;
use model::policy::access::{Action, Permissions};
use model::{Error, Result};
use uuid::Uuid;

use crate::segment::Segment;

/// A boxed query, filtered by how a path names a row of `table`: by its id or by its slug. The wall (the
/// organization) is a filter of its own, which this cannot replace.
macro_rules! named {
    ($query:expr, $table:ident, $segment:expr) => {
        match $segment {
            Segment::Id(id) => $query.filter($table::id.eq(*id)),
            Segment::Slug(slug) => $query.filter($table::slug.eq(slug.clone())),
        }
    };
}
pub(crate) use named;

/// What somebody shows to prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A token.
    Token(TokenId),
    /// A password, or a secret that works once: the id of whose it is. Nobody's, until it was found.
    Other(Uuid),
}

impl Credential {
    /// What idempotency keys are kept under.
    pub const fn id(self) -> Uuid {
        match self {
            Self::Token(id) => id.as_uuid(),
            Self::Other(id) => id,
        }
    }

    /// The token, where it is one.
    pub const fn token(self) -> Option<TokenId> {
        match self {
            Self::Token(id) => Some(id),
            Self::Other(_) => None,
        }
    }
}

/// Who asks, for the audit log.
#[derive(Debug, Clone)]
pub struct Actor {
    /// What they have shown.
    pub credential: Credential,
    /// The person whose it is.
    pub user: Option<UserId>,
    /// Id of the request.
    pub request_id: String,
    /// Address of the peer.
    pub address: Option<String>,
}

/// Reaches the whole installation, to do there what its holder may. Made by authentication, for holders
/// with a role in the platform only.
#[derive(Debug, Clone, Copy)]
pub struct OperatorScope(Permissions);

impl OperatorScope {
    /// The caller has been found to have a role in the platform.
    pub const fn granted(permissions: Permissions) -> Self {
        Self(permissions)
    }

    /// Refuses what its holder may not do.
    pub fn require(self, action: Action) -> Result<()> {
        require(self.0, action)
    }
}

/// Reaches one organization, to do there what its holder may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgScope {
    organization: OrganizationId,
    permissions: Permissions,
    exceptions: Exceptions,
}

impl OrgScope {
    /// The caller has been found to reach this organization, which has these exceptions.
    pub const fn granted(
        organization: OrganizationId,
        permissions: Permissions,
        exceptions: Exceptions,
    ) -> Self {
        Self { organization, permissions, exceptions }
    }

    /// What the organization may have beyond the policy.
    pub const fn exceptions(self) -> Exceptions {
        self.exceptions
    }

    /// The organization, for this; refused where its holder may not. There is no other way to get at it.
    pub fn allowing(self, action: Action) -> Result<OrganizationId> {
        require(self.permissions, action)?;
        Ok(self.organization)
    }
}

/// Reaches what is a person's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserScope(UserId);

impl UserScope {
    /// The caller has been found to be this person.
    pub const fn granted(user: UserId) -> Self {
        Self(user)
    }

    /// The person.
    pub const fn user(self) -> UserId {
        self.0
    }
}

/// A person's own membership, as the path names its organization.
#[derive(Debug, Clone)]
pub struct MembershipScope {
    /// Whose.
    pub user: UserScope,
    /// Where.
    pub organization: Segment<OrganizationId>,
}

/// One environment of an organization, as the path names it.
#[derive(Debug, Clone)]
pub struct EnvironmentScope {
    /// The wall.
    pub organization: OrgScope,
    /// Which environment within it.
    pub environment: Segment<EnvironmentId>,
}

/// One app of an organization, as the path names it.
#[derive(Debug, Clone)]
pub struct AppScope {
    /// The wall.
    pub organization: OrgScope,
    /// Which environment within it.
    pub environment: Segment<EnvironmentId>,
    /// Which app within that.
    pub app: Segment<AppId>,
}

/// One secret or config of an environment, as the path names it.
#[derive(Debug, Clone)]
pub struct SecretScope {
    /// The wall.
    pub organization: OrgScope,
    /// Which environment within it.
    pub environment: Segment<EnvironmentId>,
    /// Which secret within that, by id or name.
    pub secret: Segment<SecretId>,
}

fn require(permissions: Permissions, action: Action) -> Result<()> {
    if permissions.allow(action) { Ok(()) } else { Err(forbidden(action)) }
}

/// The holder may not do this, and is told what it would need.
pub fn forbidden(action: Action) -> Error {
    let roles = action.roles().iter().map(|role| role.as_str());
    let platform = action.platform_roles().iter().map(|role| format!("platform {role}"));
    let roles: Vec<String> = roles.map(str::to_owned).chain(platform).collect();
    Error::new(
        ErrorCode::Forbidden,
        format!(
            "{action} takes a token with the scope {} of somebody who is {}",
            action.scope(),
            roles.join(", ")
        ),
    )
}
