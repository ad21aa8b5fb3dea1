//! Reaches: the scopes that a path can name, each with how it is made of a request.

use db::credentials::Holder;
use db::{
    AppScope, EnvironmentScope, MembershipScope, OperatorScope, OrgScope, SecretScope, Segment,
    UserScope,
};
use model::Error;
use model::error::ErrorCode;
use model::id::OrganizationId;
use model::policy::access::Permissions;
use model::secret::SecretName;
use model::slug::Slug;
use poem::Request;

/// Where the scopes stand among a path's variables.
const ORGANIZATION: &str = "param0";
const ENVIRONMENT: &str = "param1";
const APP: &str = "param2";
const SECRET: &str = "param2";
const BELOW_APP: &str = "param3";

/// The last of a path's variables.
pub(super) fn deepest(request: &Request) -> Option<&str> {
    let variables = [BELOW_APP, APP, ENVIRONMENT, ORGANIZATION];
    variables.into_iter().find_map(|name| request.raw_path_param(name))
}

/// A scope that a path can name.
pub(crate) trait Reach: Sized + Send {
    /// The organization that the path names, where it names one.
    fn organization(request: &Request) -> Result<Option<Segment<OrganizationId>>, Error>;

    /// The scope, and the path that names it; not found where it is none of the holder's.
    fn reach(
        request: &Request,
        holder: &Holder,
        permissions: Permissions,
    ) -> Result<(Self, String), Error>;
}

impl Reach for OperatorScope {
    fn organization(_: &Request) -> Result<Option<Segment<OrganizationId>>, Error> {
        Ok(None)
    }

    fn reach(
        _: &Request,
        holder: &Holder,
        permissions: Permissions,
    ) -> Result<(Self, String), Error> {
        if holder.platform_role.is_none() {
            let message = "only who operates the platform may do this";
            return Err(Error::new(ErrorCode::Forbidden, message));
        }
        Ok((Self::granted(permissions), "/v1/admin".into()))
    }
}

impl Reach for UserScope {
    fn organization(_: &Request) -> Result<Option<Segment<OrganizationId>>, Error> {
        Ok(None)
    }

    fn reach(_: &Request, holder: &Holder, _: Permissions) -> Result<(Self, String), Error> {
        let user = holder.user_id.ok_or_else(|| {
            let message = "this is a person's own; the token that you use is nobody's in person";
            Error::new(ErrorCode::Forbidden, message)
        })?;
        Ok((Self::granted(user), "/v1/account".into()))
    }
}

impl Reach for MembershipScope {
    fn organization(_: &Request) -> Result<Option<Segment<OrganizationId>>, Error> {
        Ok(None)
    }

    fn reach(
        request: &Request,
        holder: &Holder,
        permissions: Permissions,
    ) -> Result<(Self, String), Error> {
        let (user, path) = UserScope::reach(request, holder, permissions)?;
        let (organization, _) = segment(request, ORGANIZATION, "membership")?;
        Ok((Self { user, organization }, path))
    }
}

impl Reach for OrgScope {
    fn organization(request: &Request) -> Result<Option<Segment<OrganizationId>>, Error> {
        segment(request, ORGANIZATION, "organization").map(|(segment, _)| Some(segment))
    }

    fn reach(
        request: &Request,
        holder: &Holder,
        permissions: Permissions,
    ) -> Result<(Self, String), Error> {
        let reached = organization(request, holder, permissions)?;
        if holder.is_bound() {
            let message = "this token is bound to environments, and reaches nothing beside them";
            return Err(Error::new(ErrorCode::Forbidden, message));
        }
        Ok(reached)
    }
}

impl Reach for EnvironmentScope {
    fn organization(request: &Request) -> Result<Option<Segment<OrganizationId>>, Error> {
        OrgScope::organization(request)
    }

    fn reach(
        request: &Request,
        holder: &Holder,
        permissions: Permissions,
    ) -> Result<(Self, String), Error> {
        let (organization, path) = organization(request, holder, permissions)?;
        let (environment, text) = segment(request, ENVIRONMENT, "environment")?;
        if !holder.reaches(&environment) {
            return Err(Error::not_found("environment"));
        }
        Ok((Self { organization, environment }, format!("{path}/environments/{text}")))
    }
}

impl Reach for AppScope {
    fn organization(request: &Request) -> Result<Option<Segment<OrganizationId>>, Error> {
        OrgScope::organization(request)
    }

    fn reach(
        request: &Request,
        holder: &Holder,
        permissions: Permissions,
    ) -> Result<(Self, String), Error> {
        let (EnvironmentScope { organization, environment }, path) =
            EnvironmentScope::reach(request, holder, permissions)?;
        let (app, text) = segment(request, APP, "app")?;
        Ok((Self { organization, environment, app }, format!("{path}/apps/{text}")))
    }
}

impl Reach for SecretScope {
    fn organization(request: &Request) -> Result<Option<Segment<OrganizationId>>, Error> {
        OrgScope::organization(request)
    }

    fn reach(
        request: &Request,
        holder: &Holder,
        permissions: Permissions,
    ) -> Result<(Self, String), Error> {
        let (EnvironmentScope { organization, environment }, path) =
            EnvironmentScope::reach(request, holder, permissions)?;
        let (secret, _) =
            segment_of(request, SECRET, "secret", |name| name.parse::<SecretName>().is_ok())?;
        Ok((Self { organization, environment, secret }, path))
    }
}

fn organization(
    request: &Request,
    holder: &Holder,
    permissions: Permissions,
) -> Result<(OrgScope, String), Error> {
    let id = holder.organization.filter(|_| holder.is_somebody());
    let id = id.ok_or_else(|| Error::not_found("organization"))?;
    let text = request.raw_path_param(ORGANIZATION).unwrap_or_default();
    let exceptions = holder.policy_exceptions.iter().collect();
    Ok((OrgScope::granted(id, permissions, exceptions), format!("/v1/organizations/{text}")))
}

/// A slug or an id out of the path. What can be neither names nothing; it must not reach Postgres,
/// which takes no NUL.
fn segment<Id: std::str::FromStr>(
    request: &Request,
    variable: &str,
    what: &str,
) -> Result<(Segment<Id>, String), Error> {
    segment_of(request, variable, what, |text| text.parse::<Slug>().is_ok())
}

/// The same, where what is no id is named otherwise than by a slug.
fn segment_of<Id: std::str::FromStr>(
    request: &Request,
    variable: &str,
    what: &str,
    is_name: impl FnOnce(&str) -> bool,
) -> Result<(Segment<Id>, String), Error> {
    let text = request.raw_path_param(variable).unwrap_or_default();
    let segment = Segment::from(text);
    match &segment {
        Segment::Slug(name) if !is_name(name) => Err(Error::not_found(what)),
        Segment::Slug(_) | Segment::Id(_) => Ok((segment, text.to_owned())),
    }
}
