//! Access: what a request may touch, made out of its token and its path. Every handler under /v1
//! takes one of these, and every query of `db` takes what is inside: a handler cannot be written
//! without stating what it reaches.
//!
//! What lies outside of a token's organization is not found; it is not forbidden, because that
//! would tell that it exists.

use std::sync::Arc;

use db::organizations::organization_find;
use db::tokens::TokenHolder;
use db::{
    Actor, AppScope, EnvironmentScope, Expected, IdempotencyKey, OperatorScope, OrgScope, Segment,
};
use model::Error;
use model::error::ErrorCode;
use model::id::{DeploymentId, OrganizationId};
use model::slug::Slug;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::SecurityScheme;
use poem_openapi::auth::Bearer;

use crate::middleware::RequestId;
use crate::problem::Problem;
use crate::state::State;

/// What a request may touch, who asks, and the process's state.
pub(crate) struct Access<S> {
    /// What it may touch.
    pub(crate) scope: S,
    /// Who asks.
    pub(crate) actor: Actor,
    /// The state of the process.
    pub(crate) state: Arc<State>,
    /// Path of the thing that the scope names, as the caller wrote it.
    pub(crate) path: String,
}

impl<S> Access<S> {
    /// The request, as what it changes has to know it.
    pub(crate) fn request(&self, key: Option<IdempotencyKey>) -> db::Request {
        db::Request { actor: self.actor.clone(), key, expected: Expected::Any }
    }
}

/// Reaches the whole installation: operators only.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "operator_token", checker = "operator_access")]
pub(crate) struct OperatorAccess(pub(crate) Access<OperatorScope>);

/// Reaches the organization in the path: its own tokens, and operators.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "token", checker = "org_access")]
pub(crate) struct OrgAccess(pub(crate) Access<OrgScope>);

/// Reaches the organization in the path, for an operator: what tenants may not do themselves.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "operator_token", checker = "operator_org_access")]
pub(crate) struct OperatorOrgAccess(pub(crate) Access<(OperatorScope, OrgScope)>);

/// Reaches the environment in the path.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "token", checker = "environment_access")]
pub(crate) struct EnvironmentAccess(pub(crate) Access<EnvironmentScope>);

/// Reaches the app in the path.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "token", checker = "app_access")]
pub(crate) struct AppAccess(pub(crate) Access<AppScope>);

/// The deployment's id in the path, after the app.
pub(crate) struct DeploymentInPath(pub(crate) DeploymentId);

/// The release's number in the path, after the app.
pub(crate) struct ReleaseInPath(pub(crate) i32);

/// Where things stand among a path's variables.
const ORGANIZATION: &str = "param0";
const ENVIRONMENT: &str = "param1";
const APP: &str = "param2";
const BELOW_APP: &str = "param3";

async fn operator_access(request: &Request, bearer: Bearer) -> poem::Result<Access<OperatorScope>> {
    let (holder, actor, state) = authenticated(request, &bearer).await?;
    let scope = operator(&holder)?;
    Ok(Access { scope, actor, state, path: "/v1".into() })
}

async fn org_access(request: &Request, bearer: Bearer) -> poem::Result<Access<OrgScope>> {
    let (holder, actor, state) = authenticated(request, &bearer).await?;
    let (scope, path) = organization(request, &holder, &state).await?;
    Ok(Access { scope, actor, state, path })
}

async fn operator_org_access(
    request: &Request,
    bearer: Bearer,
) -> poem::Result<Access<(OperatorScope, OrgScope)>> {
    let (holder, actor, state) = authenticated(request, &bearer).await?;
    // First the wall: to a foreign token the organization is not there.
    let (scope, path) = organization(request, &holder, &state).await?;
    Ok(Access { scope: (operator(&holder)?, scope), actor, state, path })
}

async fn environment_access(
    request: &Request,
    bearer: Bearer,
) -> poem::Result<Access<EnvironmentScope>> {
    let Access { scope: organization, actor, state, path } = org_access(request, bearer).await?;
    let (environment, text) = segment(request, ENVIRONMENT, "environment")?;
    let path = format!("{path}/environments/{text}");
    Ok(Access { scope: EnvironmentScope { organization, environment }, actor, state, path })
}

async fn app_access(request: &Request, bearer: Bearer) -> poem::Result<Access<AppScope>> {
    let Access { scope, actor, state, path } = environment_access(request, bearer).await?;
    let (app, text) = segment(request, APP, "app")?;
    let EnvironmentScope { organization, environment } = scope;
    let path = format!("{path}/apps/{text}");
    Ok(Access { scope: AppScope { organization, environment, app }, actor, state, path })
}

async fn authenticated(
    request: &Request,
    bearer: &Bearer,
) -> Result<(TokenHolder, Actor, Arc<State>), Problem> {
    let state = request
        .data::<Arc<State>>()
        .ok_or_else(|| Error::internal("a request without the process's state"))?;
    let holder = state.authentication.holder(&bearer.token).await?;
    let actor = Actor {
        token: holder.token,
        request_id: RequestId::of(request).to_owned(),
        address: request.remote_addr().as_socket_addr().map(|address| address.ip().to_string()),
    };
    Ok((holder, actor, Arc::clone(state)))
}

fn operator(holder: &TokenHolder) -> Result<OperatorScope, Problem> {
    match holder.organization {
        None => Ok(OperatorScope::granted()),
        Some(_) => {
            let message = "only an operator's token may do this; this one is an organization's";
            Err(Error::new(ErrorCode::Forbidden, message).into())
        }
    }
}

async fn organization(
    request: &Request,
    holder: &TokenHolder,
    state: &State,
) -> Result<(OrgScope, String), Problem> {
    let (wanted, text) = segment::<OrganizationId>(request, ORGANIZATION, "organization")?;
    let path = format!("/v1/organizations/{text}");
    let scope = match &holder.organization {
        None => organization_find(&state.database, OperatorScope::granted(), &wanted).await?,
        Some((id, slug)) => {
            let own = match &wanted {
                Segment::Id(wanted) => wanted == id,
                Segment::Slug(wanted) => wanted == slug,
            };
            if !own {
                return Err(Error::not_found("organization").into());
            }
            OrgScope::granted(*id)
        }
    };
    Ok((scope, path))
}

/// A slug or an id out of the path. What can be neither names nothing; it must not reach Postgres,
/// which takes no NUL.
fn segment<Id: std::str::FromStr>(
    request: &Request,
    variable: &str,
    what: &str,
) -> Result<(Segment<Id>, String), Problem> {
    let text = request.raw_path_param(variable).unwrap_or_default();
    let segment = Segment::from(text);
    match &segment {
        Segment::Slug(slug) if slug.parse::<Slug>().is_err() => Err(Error::not_found(what).into()),
        Segment::Slug(_) | Segment::Id(_) => Ok((segment, text.to_owned())),
    }
}

impl<'a> FromRequest<'a> for DeploymentInPath {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let text = request.raw_path_param(BELOW_APP).unwrap_or_default();
        let id = text.parse().map_err(|_| Problem::from(Error::not_found("deployment")))?;
        Ok(Self(id))
    }
}

impl<'a> FromRequest<'a> for ReleaseInPath {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let text = request.raw_path_param(BELOW_APP).unwrap_or_default();
        let number = text.parse().map_err(|_| Problem::from(Error::not_found("release")))?;
        Ok(Self(number))
    }
}
