//! Whose tokens are meant, and that the caller may do with them what it is about to do.

use model::Result;
use model::id::{OrganizationId, UserId};
use model::policy::access::Action;
use model::token::TokenKind;

use crate::pool::{Connection, Database};
use crate::scope::{OperatorScope, OrgScope, UserScope};

/// Whose tokens are meant.
#[derive(Debug, Clone, Copy)]
pub enum Owner {
    /// The platform's.
    Platform(OperatorScope),
    /// An organization's.
    Organization(OrgScope),
    /// A person's own, sessions included.
    Person(UserScope),
}

/// An owner, of whom the caller may do what it is about to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Allowed {
    Platform(OperatorScope),
    Organization(OrganizationId),
    Person(UserId),
}

impl Owner {
    pub(super) fn read(self) -> Result<Allowed> {
        self.allowed(Action::PlatformRead, Action::TokenRead)
    }

    pub(super) fn manage(self) -> Result<Allowed> {
        self.allowed(Action::PlatformTokenManage, Action::TokenManage)
    }

    fn allowed(self, of_platform: Action, of_organization: Action) -> Result<Allowed> {
        Ok(match self {
            Self::Platform(scope) => {
                scope.require(of_platform)?;
                Allowed::Platform(scope)
            }
            Self::Organization(scope) => Allowed::Organization(scope.allowing(of_organization)?),
            Self::Person(scope) => Allowed::Person(scope.user()),
        })
    }
}

impl Allowed {
    /// A connection on which the owner's rows are there.
    pub(super) async fn connection(self, database: &Database) -> Result<Connection> {
        match self {
            Self::Platform(scope) => database.platform(scope).await,
            Self::Organization(id) => database.tenant(id).await,
            Self::Person(id) => database.person(id).await,
        }
    }

    pub(super) const fn organization(self) -> Option<OrganizationId> {
        match self {
            Self::Organization(id) => Some(id),
            Self::Platform(_) | Self::Person(_) => None,
        }
    }

    pub(super) const fn person(self) -> Option<UserId> {
        match self {
            Self::Person(id) => Some(id),
            Self::Platform(_) | Self::Organization(_) => None,
        }
    }

    pub(super) const fn kind(self) -> TokenKind {
        match self {
            Self::Platform(_) => TokenKind::Platform,
            Self::Organization(_) => TokenKind::Organization,
            Self::Person(_) => TokenKind::Personal,
        }
    }
}

/// A boxed query of `tokens`, confined to its owner.
macro_rules! owned {
    ($query:expr, $owner:expr) => {
        match $owner {
            Allowed::Platform(_) => $query.filter(tokens::kind.eq(TokenKind::Platform)),
            Allowed::Organization(id) => $query.filter(tokens::organization_id.eq(id)),
            Allowed::Person(id) => $query.filter(tokens::user_id.eq(id)),
        }
    };
}
pub(super) use owned;
