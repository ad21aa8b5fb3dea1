//! Access: what a request may touch and do, made out of its token and its path. Every handler under /v1
//! takes an [`Access`], whose type names the action and the scope, and every query of `db` takes what is
//! inside: a handler cannot be written without stating what it does, and to what.
//!
//! What lies outside of a holder's organizations is not found; it is not forbidden, because that would
//! tell that it exists. Inside of them, what a holder may not do is forbidden, and the answer says what
//! it would take.

pub(crate) mod action;
mod again;
mod document;
mod reach;
pub(crate) mod stranger;
mod tried;

use std::marker::PhantomData;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use db::credentials::Holder;
use db::scope::forbidden;
use db::{Actor, Credential, Expected, IdempotencyKey, Segment};
use model::Error;
use model::error::ErrorCode;
use model::id::{
    DeploymentId, InvitationId, IsolationCheckId, MemberId, OrganizationId, RegistryCredentialId,
    ReservedRangeId, SubnetPoolId, TokenId, UserId,
};
use model::policy::access::Permissions;
use model::registry_credential::registry_name;
use model::slug::{InvalidSlug, Slug};
use model::token::{TokenKind, secret_hash};
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::auth::{Bearer, BearerAuthorization as _};

use action::{Asks, Needs};
use reach::Reach;
use tried::Tried;

use crate::authentication::unauthenticated;
use crate::middleware::{RequestId, StandingOf};
use crate::problem::Problem;
use crate::state::State;

/// A request whose holder may do `A` to what `S` names: what it may touch, who asks, and the process's
/// state.
pub(crate) struct Access<A, S> {
    /// What it may touch.
    pub(crate) scope: S,
    /// Who asks, for the audit log.
    pub(crate) actor: Actor,
    /// Whose token it is.
    pub(crate) holder: Arc<Holder>,
    /// The state of the process.
    pub(crate) state: Arc<State>,
    /// Path of the thing that the scope names, as the caller wrote it.
    pub(crate) path: String,
    shown: Shown,
    action: PhantomData<A>,
}

/// What a request has shown of its holder.
struct Shown {
    /// Of the token.
    hash: [u8; 32],
    address: Option<IpAddr>,
}

impl<A, S> Access<A, S> {
    /// The request, as what it changes has to know it.
    pub(crate) fn request(&self, key: Option<IdempotencyKey>) -> db::Request {
        db::Request { actor: self.actor.clone(), key, expected: Expected::Any }
    }
}

impl<A: Asks, S: Reach> Access<A, S> {
    async fn of(request: &Request) -> Result<Self, Problem> {
        let state = request
            .data::<Arc<State>>()
            .ok_or_else(|| Error::internal("a request without the process's state"))?;
        let organization = S::organization(request)?;
        let address = address_of(request);
        let (holder, hash) = holder_of(request, state, organization.as_ref(), address).await?;
        let standing = state.limiter.take(&holder, A::CLASS).await;
        StandingOf::tell(request, standing);
        standing.check()?;
        let actor = actor_of(request, &holder, address);
        let admitted = admit::<S>(A::NEEDS, request, &holder, address);
        let tried = Tried { needs: A::NEEDS, holder: &holder, path: request.uri().path() };
        tried.write_down(&state.database, &actor, admitted.as_ref().err()).await?;
        let (scope, path) = admitted?;
        let (state, shown) = (Arc::clone(state), Shown { hash, address });
        Ok(Self { scope, actor, holder, state, path, shown, action: PhantomData })
    }
}

/// Whose token a request shows, and the hash of the token. One without a valid token counts towards the rate of its address.
async fn holder_of(
    request: &Request,
    state: &State,
    organization: Option<&Segment<OrganizationId>>,
    address: Option<IpAddr>,
) -> Result<(Arc<Holder>, [u8; 32]), Error> {
    let found = match Bearer::from_request(request) {
        Ok(bearer) => {
            let holder = state.authentication.holder(&bearer.token, organization).await;
            holder.map(|holder| (holder, secret_hash(&bearer.token)))
        }
        Err(_) => Err(unauthenticated()),
    };
    if found.as_ref().is_err_and(|error| error.code == ErrorCode::Unauthenticated) {
        counted(request, state, address).await?;
    }
    found
}

/// Counts a request of nobody's towards the rate of its address.
async fn counted(request: &Request, state: &State, address: Option<IpAddr>) -> Result<(), Error> {
    let standing = state.limiter.take_anonymous(address).await;
    StandingOf::tell(request, standing);
    standing.check()
}

/// Lets a request through to what it names.
fn admit<S: Reach>(
    needs: Needs,
    request: &Request,
    holder: &Holder,
    address: Option<IpAddr>,
) -> Result<(S, String), Error> {
    from_its_networks(holder, address)?;
    let permissions = Permissions::of(holder.role, holder.platform_role, &holder.scopes);
    // First the wall: to whom has nothing to do with an organization, it is not there.
    let reached = S::reach(request, holder, permissions)?;
    allows(needs, holder, permissions)?;
    Ok(reached)
}

fn from_its_networks(holder: &Holder, address: Option<IpAddr>) -> Result<(), Error> {
    let Some(networks) = &holder.networks else { return Ok(()) };
    let address = address.map(|address| address.to_canonical());
    if address.is_some_and(|address| networks.iter().any(|network| network.contains(&address))) {
        return Ok(());
    }
    let message = "this token may not be used from your address; its owner bound it to networks";
    Err(Error::new(ErrorCode::Forbidden, message))
}

fn actor_of(request: &Request, holder: &Holder, address: Option<IpAddr>) -> Actor {
    Actor {
        credential: Credential::Token(holder.token),
        user: holder.user_id,
        request_id: RequestId::of(request).to_owned(),
        address: address.map(|address| address.to_string()),
    }
}

fn address_of(request: &Request) -> Option<IpAddr> {
    request.remote_addr().as_socket_addr().map(|address| address.ip())
}

fn takes_a_session() -> Error {
    let message = "this takes a session: log in, and use the token of the answer";
    Error::new(ErrorCode::Forbidden, message)
}

fn allows(needs: Needs, holder: &Holder, permissions: Permissions) -> Result<(), Error> {
    match needs {
        Needs::Action(action) if !permissions.allow(action) => Err(forbidden(action)),
        // Whoever operates the platform still may, to set things right.
        Needs::Action(action)
            if holder.suspended && holder.platform_role.is_none() && !action.is_read() =>
        {
            let message = "the organization is suspended, or about to end: it can be read and not changed; ask \
                           who operates the platform why";
            Err(Error::new(ErrorCode::OrganizationSuspended, message))
        }
        Needs::Session if holder.kind != TokenKind::Session => Err(takes_a_session()),
        Needs::Action(_) | Needs::Person | Needs::Session => Ok(()),
    }
}

/// The id of the deepest thing that the path names.
pub(crate) struct InPath<T>(pub(crate) T);

/// What a path can name at its end, other than a scope.
pub(crate) trait Named: FromStr {
    /// The word for it.
    const WHAT: &'static str;
}

impl Named for DeploymentId {
    const WHAT: &'static str = "deployment";
}

impl Named for TokenId {
    const WHAT: &'static str = "token";
}

impl Named for UserId {
    const WHAT: &'static str = "user";
}

impl Named for MemberId {
    const WHAT: &'static str = "member";
}

impl Named for InvitationId {
    const WHAT: &'static str = "invitation";
}

impl Named for IsolationCheckId {
    const WHAT: &'static str = "isolation check";
}

impl Named for SubnetPoolId {
    const WHAT: &'static str = "pool";
}

impl Named for ReservedRangeId {
    const WHAT: &'static str = "reserved range";
}

/// A credential for a registry, by the registry's host or by its id.
pub(crate) struct Registry(pub(crate) Segment<RegistryCredentialId>);

impl FromStr for Registry {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match Segment::from(text) {
            Segment::Id(id) => Ok(Self(Segment::Id(id))),
            Segment::Slug(host) => {
                registry_name(&host).map(|name| Self(Segment::Slug(name.to_owned()))).ok_or(())
            }
        }
    }
}

impl Named for Registry {
    const WHAT: &'static str = "registry credential";
}

/// A plan, by its name.
pub(crate) struct PlanName(pub(crate) Slug);

impl FromStr for PlanName {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        text.parse().map(Self)
    }
}

impl Named for PlanName {
    const WHAT: &'static str = "plan";
}

/// A release's number.
impl Named for i32 {
    const WHAT: &'static str = "release";
}

impl<'a, T: Named + Send> FromRequest<'a> for InPath<T> {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let text = reach::deepest(request).unwrap_or_default();
        let id = text.parse().map_err(|_| Problem::from(Error::not_found(T::WHAT)))?;
        Ok(Self(id))
    }
}
