//! What each operation takes, by hand.

use model::policy::access::Action;
use serde_json::{Value, json};

/// What an operation takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Door {
    Anybody,
    /// Any token of a person.
    Person,
    /// A person who has logged in.
    Session,
    /// Whoever shows a secret in the body; another one is refused like this.
    Secret(u16, &'static str),
    To(Action),
}

impl Door {
    /// Its name in the document.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Anybody | Self::Secret(..) => "",
            Self::Person => "person",
            Self::Session => "session",
            Self::To(action) => action.as_str(),
        }
    }
}

const ORGANIZATION: &str = "/v1/organizations/{organization}";
const APP: &str = "/v1/organizations/{organization}/environments/{environment}/apps/{app}";

/// Method, path, door, and a body that would be accepted.
pub(crate) fn table() -> Vec<(&'static str, String, Door, Value)> {
    use Action::*;
    use Door::{Anybody, Person, Secret, Session, To};
    let of = |rest: &str| format!("{ORGANIZATION}{rest}");
    let app = |rest: &str| format!("{APP}{rest}");
    let secrets = |rest: &str| format!("{}{rest}", APP.replace("/apps/{app}", ""));
    let apps = APP.trim_end_matches("/{app}").to_owned();
    let none = Value::Null;
    let name = json!({ "name": "x" });
    vec![
        ("GET", "/healthz".into(), Anybody, none.clone()),
        ("GET", "/readyz".into(), Anybody, none.clone()),
        ("GET", "/v1/organizations".into(), To(OrganizationList), none.clone()),
        ("POST", "/v1/organizations".into(), To(OrganizationCreate), json!({ "slug": "stolen" })),
        ("GET", of(""), To(OrganizationRead), none.clone()),
        ("POST", of("/suspend"), To(OrganizationSuspend), json!({ "reason": "unpaid" })),
        ("POST", of("/resume"), To(OrganizationSuspend), none.clone()),
        ("POST", of("/deletion"), To(OrganizationDelete), json!({ "grace_hours": 1 })),
        ("POST", of("/restore"), To(OrganizationDelete), none.clone()),
        (
            "PUT",
            of("/policy-exceptions"),
            To(ExceptionManage),
            json!({ "exceptions": ["named_nodes"] }),
        ),
        ("GET", secrets("/secrets"), To(SecretRead), none.clone()),
        ("POST", secrets("/secrets"), To(SecretManage), json!({ "name": "stolen", "value": "x" })),
        ("GET", secrets("/secrets/{secret}"), To(SecretRead), none.clone()),
        ("PATCH", secrets("/secrets/{secret}"), To(SecretManage), json!({ "rotation_days": 9 })),
        ("DELETE", secrets("/secrets/{secret}"), To(SecretManage), none.clone()),
        ("GET", secrets("/secrets/{secret}/versions"), To(SecretRead), none.clone()),
        ("POST", secrets("/secrets/{secret}/versions"), To(SecretManage), json!({ "value": "x" })),
        ("GET", secrets("/configs"), To(SecretRead), none.clone()),
        ("POST", secrets("/configs"), To(SecretManage), json!({ "name": "stolen", "value": "x" })),
        ("GET", secrets("/configs/{config}"), To(SecretRead), none.clone()),
        ("PATCH", secrets("/configs/{config}"), To(SecretManage), json!({ "rotation_days": 9 })),
        ("DELETE", secrets("/configs/{config}"), To(SecretManage), none.clone()),
        ("GET", secrets("/configs/{config}/versions"), To(SecretRead), none.clone()),
        ("POST", secrets("/configs/{config}/versions"), To(SecretManage), json!({ "value": "x" })),
        ("GET", of("/registry-credentials"), To(RegistryCredentialRead), none.clone()),
        ("GET", of("/registry-credentials/{registry}"), To(RegistryCredentialRead), none.clone()),
        (
            "PUT",
            of("/registry-credentials/{registry}"),
            To(RegistryCredentialManage),
            json!({ "kind": "basic", "username": "x", "secret": "x" }),
        ),
        (
            "DELETE",
            of("/registry-credentials/{registry}"),
            To(RegistryCredentialManage),
            none.clone(),
        ),
        ("GET", of("/quotas"), To(QuotaRead), none.clone()),
        (
            "PUT",
            of("/quotas"),
            To(QuotaManage),
            json!({ "plan": "default", "overrides": { "apps": 0 } }),
        ),
        ("GET", "/v1/admin/plans".into(), To(PlatformRead), none.clone()),
        (
            "POST",
            "/v1/admin/plans".into(),
            To(QuotaManage),
            json!({ "name": "stolen", "quotas": {} }),
        ),
        ("GET", "/v1/admin/plans/{plan}".into(), To(PlatformRead), none.clone()),
        (
            "PUT",
            "/v1/admin/plans/{plan}".into(),
            To(QuotaManage),
            json!({ "quotas": { "apps": 9 } }),
        ),
        ("DELETE", "/v1/admin/plans/{plan}".into(), To(QuotaManage), none.clone()),
        ("GET", of("/tokens"), To(TokenRead), none.clone()),
        ("POST", of("/tokens"), To(TokenManage), name.clone()),
        ("GET", of("/tokens/{token}"), To(TokenRead), none.clone()),
        ("POST", of("/tokens/{token}/rotate"), To(TokenManage), none.clone()),
        ("DELETE", of("/tokens/{token}"), To(TokenManage), none.clone()),
        ("GET", of("/members"), To(MemberRead), none.clone()),
        ("PATCH", of("/members/{member}"), To(MemberManage), json!({ "role": "viewer" })),
        ("DELETE", of("/members/{member}"), To(MemberManage), none.clone()),
        ("GET", of("/invitations"), To(MemberRead), none.clone()),
        (
            "POST",
            of("/invitations"),
            To(MemberManage),
            json!({ "email": "guest@example.org", "role": "viewer" }),
        ),
        ("DELETE", of("/invitations/{invitation}"), To(MemberManage), none.clone()),
        ("GET", of("/audit"), To(AuditRead), none.clone()),
        ("GET", of("/audit/export"), To(AuditRead), none.clone()),
        ("GET", of("/environments"), To(EnvironmentRead), none.clone()),
        ("POST", of("/environments"), To(EnvironmentManage), json!({ "slug": "stolen" })),
        ("GET", of("/environments/{environment}"), To(EnvironmentRead), none.clone()),
        ("DELETE", of("/environments/{environment}"), To(EnvironmentManage), none.clone()),
        ("GET", of("/environments/{environment}/network"), To(EnvironmentRead), none.clone()),
        (
            "PUT",
            of("/environments/{environment}/network"),
            To(EnvironmentManage),
            json!({ "prefix": 25 }),
        ),
        ("GET", apps.clone(), To(AppRead), none.clone()),
        ("POST", apps, To(AppManage), json!({ "slug": "stolen", "image": "demo:v1" })),
        ("GET", app(""), To(AppRead), none.clone()),
        ("PATCH", app(""), To(AppManage), json!({ "replicas": 9 })),
        ("DELETE", app(""), To(AppManage), none.clone()),
        ("GET", app("/deployments"), To(AppRead), none.clone()),
        ("POST", app("/deployments"), To(AppDeploy), json!({})),
        ("GET", app("/deployments/{deployment}"), To(AppRead), none.clone()),
        ("POST", app("/rollback"), To(AppDeploy), json!({ "release": 1 })),
        ("POST", app("/scale"), To(AppDeploy), json!({ "replicas": 9 })),
        ("POST", app("/restart"), To(AppDeploy), none.clone()),
        ("POST", app("/stop"), To(AppDeploy), none.clone()),
        ("POST", app("/start"), To(AppDeploy), none.clone()),
        ("POST", app("/deployments/{deployment}/cancel"), To(AppDeploy), none.clone()),
        ("GET", app("/diff"), To(AppRead), none.clone()),
        ("GET", app("/health"), To(AppRead), none.clone()),
        ("GET", app("/disk"), To(AppRead), none.clone()),
        ("GET", app("/logs"), To(AppRead), none.clone()),
        ("GET", app("/deployments/{deployment}/logs"), To(AppRead), none.clone()),
        ("GET", app("/releases"), To(AppRead), none.clone()),
        ("GET", app("/releases/{release}"), To(AppRead), none.clone()),
        (
            "POST",
            "/v1/invitations/accept".into(),
            Secret(404, "not_found"),
            json!({ "secret": "x", "name": "x", "password": "correct horse" }),
        ),
        (
            "POST",
            "/v1/password-resets".into(),
            Secret(404, "not_found"),
            json!({ "secret": "x", "password": "correct horse" }),
        ),
        (
            "POST",
            "/v1/sessions".into(),
            Secret(401, "invalid_credentials"),
            json!({ "email": "nobody@example.org", "password": "correct horse" }),
        ),
        ("GET", "/v1/sessions".into(), Person, none.clone()),
        ("DELETE", "/v1/sessions/current".into(), Session, none.clone()),
        ("DELETE", "/v1/sessions/{session}".into(), Session, none.clone()),
        ("GET", "/v1/me".into(), Person, none.clone()),
        ("PATCH", "/v1/me".into(), Session, name.clone()),
        (
            "PUT",
            "/v1/me/password".into(),
            Session,
            json!({ "current": "x", "new": "correct horse" }),
        ),
        ("DELETE", "/v1/me/memberships/{organization}".into(), Session, none.clone()),
        ("GET", "/v1/admin/users".into(), To(UserRead), none.clone()),
        (
            "POST",
            "/v1/admin/users".into(),
            To(UserManage),
            json!({ "email": "new@example.org", "name": "x" }),
        ),
        ("GET", "/v1/admin/users/{user}".into(), To(UserRead), none.clone()),
        ("PATCH", "/v1/admin/users/{user}".into(), To(UserManage), name.clone()),
        ("POST", "/v1/admin/users/{user}/password-reset".into(), To(UserManage), none.clone()),
        ("GET", "/v1/account/tokens".into(), Person, none.clone()),
        ("POST", "/v1/account/tokens".into(), Session, name.clone()),
        ("GET", "/v1/account/tokens/{token}".into(), Person, none.clone()),
        ("POST", "/v1/account/tokens/{token}/rotate".into(), Session, none.clone()),
        ("DELETE", "/v1/account/tokens/{token}".into(), Session, none.clone()),
        ("GET", "/v1/admin/tokens".into(), To(PlatformRead), none.clone()),
        (
            "POST",
            "/v1/admin/tokens".into(),
            To(PlatformTokenManage),
            json!({ "name": "x", "role": "viewer" }),
        ),
        ("GET", "/v1/admin/tokens/{token}".into(), To(PlatformRead), none.clone()),
        ("POST", "/v1/admin/tokens/{token}/rotate".into(), To(PlatformTokenManage), none.clone()),
        ("DELETE", "/v1/admin/tokens/{token}".into(), To(PlatformTokenManage), none.clone()),
        ("GET", "/v1/admin/dead-letters".into(), To(PlatformRead), none.clone()),
        (
            "POST",
            "/v1/admin/dead-letters/replay".into(),
            To(PlatformOperate),
            json!({ "count": 1 }),
        ),
        ("DELETE", "/v1/admin/dead-letters".into(), To(PlatformOperate), none.clone()),
        ("GET", "/v1/admin/platform".into(), To(PlatformRead), none.clone()),
        ("GET", "/v1/admin/isolation-checks".into(), To(PlatformRead), none.clone()),
        (
            "POST",
            "/v1/admin/isolation-checks".into(),
            To(PlatformOperate),
            json!({ "organizations": ["acme", "globex"] }),
        ),
        ("GET", "/v1/admin/isolation-checks/{check}".into(), To(PlatformRead), none.clone()),
        ("GET", "/v1/admin/subnet-pools".into(), To(PlatformRead), none.clone()),
        (
            "POST",
            "/v1/admin/subnet-pools".into(),
            To(PlatformOperate),
            json!({ "range": "198.51.100.0/24" }),
        ),
        ("DELETE", "/v1/admin/subnet-pools/{pool}".into(), To(PlatformOperate), none.clone()),
        ("GET", "/v1/admin/reserved-ranges".into(), To(PlatformRead), none.clone()),
        (
            "POST",
            "/v1/admin/reserved-ranges".into(),
            To(PlatformOperate),
            json!({ "range": "203.0.113.0/24", "note": "a test" }),
        ),
        (
            "DELETE",
            "/v1/admin/reserved-ranges/{reserved_range}".into(),
            To(PlatformOperate),
            none.clone(),
        ),
        ("GET", "/v1/admin/drift".into(), To(PlatformRead), none.clone()),
        ("GET", "/v1/admin/audit".into(), To(PlatformAuditRead), none.clone()),
        ("GET", "/v1/admin/audit/export".into(), To(PlatformAuditRead), none),
    ]
}
