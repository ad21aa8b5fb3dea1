//! Scopes: what a caller may touch, as a type. Authentication makes them; every query of tenant
//! rows takes one and filters by it, so a foreign id finds nothing.

use model::id::{AppId, EnvironmentId, OrganizationId, TokenId};

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

/// Who asks, for the audit log.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The token that was used.
    pub token: TokenId,
    /// Id of the request.
    pub request_id: String,
    /// Address of the peer.
    pub address: Option<String>,
}

/// Reaches the whole installation. Made by authentication, for an operator's token only.
#[derive(Debug, Clone, Copy)]
pub struct OperatorScope(());

impl OperatorScope {
    /// The caller has been found to be an operator.
    pub const fn granted() -> Self {
        Self(())
    }
}

/// Reaches one organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgScope(OrganizationId);

impl OrgScope {
    /// The caller has been found to reach this organization.
    pub const fn granted(organization: OrganizationId) -> Self {
        Self(organization)
    }

    /// The organization.
    pub const fn organization(self) -> OrganizationId {
        self.0
    }
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
