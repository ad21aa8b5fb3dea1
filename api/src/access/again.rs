//! Looking again: whether the holder of a token still may do what goes on for long, such as reading a log.

use std::net::IpAddr;
use std::sync::Arc;

use db::Segment;
use model::Error;
use model::id::OrganizationId;
use model::policy::access::Permissions;

use super::action::{Asks, Needs};
use super::{Access, allows, from_its_networks};
use crate::state::State;

/// What was shown once, to be looked at again.
#[derive(Clone)]
pub(crate) struct Again {
    state: Arc<State>,
    hash: [u8; 32],
    organization: Option<Segment<OrganizationId>>,
    address: Option<IpAddr>,
    needs: Needs,
}

impl<A: Asks, S> Access<A, S> {
    /// For what goes on for long.
    pub(crate) fn again(&self) -> Again {
        Again {
            state: Arc::clone(&self.state),
            hash: self.shown.hash,
            organization: self.holder.organization.map(Segment::Id),
            address: self.shown.address,
            needs: A::NEEDS,
        }
    }
}

impl Again {
    /// An error where the token holds no more, or may no longer do what it asked for. What a token is bound to does not change.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let organization = self.organization.as_ref();
        let holder = self.state.authentication.holder_of(self.hash, organization).await?;
        if organization.is_some() && !holder.is_somebody() {
            return Err(Error::not_found("organization"));
        }
        from_its_networks(&holder, self.address)?;
        let permissions = Permissions::of(holder.role, holder.platform_role, &holder.scopes);
        allows(self.needs, &holder, permissions)
    }
}
