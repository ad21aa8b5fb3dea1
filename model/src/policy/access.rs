//! Who may do what: one table, action × role × token scope. Everything that decides about access asks
//! here, and `docs/security.md` prints it.
//!
//! A request is let through where both hold: the role of its holder may do the action, and one of its
//! token's scopes includes the action's. What it then reaches is another question: the organization,
//! which `db` filters by.

use crate::member::Role;
use crate::text_enum::text_enum;
use crate::token::TokenScope;
use crate::user::PlatformRole;

/// Expands the table into the actions and what is asked of them.
macro_rules! actions {
    ($(
        $(#[$doc:meta])*
        $action:ident $text:literal $scope:ident [$($role:ident)*] [$($platform:ident)*];
    )+) => {
        text_enum! {
            /// What can be done. The text names it in the audit log and in the API's document.
            pub enum Action { $( $(#[$doc])* $action => $text ),+ }
        }

        impl Action {
            /// The scope that a token needs for it.
            pub const fn scope(self) -> TokenScope {
                match self { $( Self::$action => TokenScope::$scope ),+ }
            }

            /// The roles of members that may do it in their organization.
            pub const fn roles(self) -> &'static [Role] {
                match self { $( Self::$action => &[$( Role::$role ),*] ),+ }
            }

            /// The roles in the platform that may do it, in every organization.
            pub const fn platform_roles(self) -> &'static [PlatformRole] {
                match self { $( Self::$action => &[$( PlatformRole::$platform ),*] ),+ }
            }
        }
    };
}

actions! {
    /// See the organization itself.
    OrganizationRead "organization.read" Read [Owner Admin Developer Viewer Billing] [Admin Operator Viewer];
    /// See the organization's tokens.
    TokenRead "token.read" Read [Owner Admin] [Admin Operator Viewer];
    /// Make, rotate and revoke the organization's tokens.
    TokenManage "token.manage" Manage [Owner Admin] [Admin Operator];
    /// See who is in the organization, and who is invited.
    MemberRead "member.read" Read [Owner Admin Developer Viewer Billing] [Admin Operator Viewer];
    /// Invite people, change what members are, remove them; nobody above oneself.
    MemberManage "member.manage" Manage [Owner Admin] [Admin Operator];
    /// Read the organization's audit log.
    AuditRead "audit.read" Read [Owner Admin] [Admin Operator Viewer];
    /// See environments.
    EnvironmentRead "environment.read" Read [Owner Admin Developer Viewer] [Admin Operator Viewer];
    /// Make environments, give one another network, remove them.
    EnvironmentManage "environment.manage" Manage [Owner Admin] [Admin Operator];
    /// See apps, their releases and their deployments.
    AppRead "app.read" Read [Owner Admin Developer Viewer] [Admin Operator Viewer];
    /// Create, change and remove apps.
    AppManage "app.manage" Manage [Owner Admin Developer] [Admin Operator];
    /// Change what runs of an app: deploy, roll back, scale, restart, stop, start, cancel.
    AppDeploy "app.deploy" Deploy [Owner Admin Developer] [Admin Operator];
    /// See secrets and configs: names, versions, ages, who needs them. Nobody sees a value.
    SecretRead "secret.read" Read [Owner Admin Developer Viewer] [Admin Operator Viewer];
    /// Make secrets and configs, give them new versions, remove them.
    SecretManage "secret.manage" Manage [Owner Admin Developer] [Admin Operator];
    /// See the organization's credentials for image registries: whose, and how they do; nobody sees a password.
    RegistryCredentialRead "registry_credential.read" Read [Owner Admin Developer Viewer] [Admin Operator Viewer];
    /// Make, replace and remove credentials for image registries.
    RegistryCredentialManage "registry_credential.manage" Manage [Owner Admin] [Admin Operator];
    /// See what the organization may use, and what it uses.
    QuotaRead "quota.read" Read [Owner Admin Developer Viewer Billing] [Admin Operator Viewer];
    /// List all organizations.
    OrganizationList "organization.list" Read [] [Admin Operator Viewer];
    /// Make organizations.
    OrganizationCreate "organization.create" Admin [] [Admin Operator];
    /// Suspend organizations and resume them.
    OrganizationSuspend "organization.suspend" Billing [] [Admin Operator];
    /// Set plans, and what an organization may use.
    QuotaManage "quota.manage" Billing [] [Admin Operator];
    /// End organizations, and take that back in time.
    OrganizationDelete "organization.delete" Admin [] [Admin Operator];
    /// Let an organization have more than the policy gives everybody.
    ExceptionManage "exception.manage" Admin [] [Admin Operator];
    /// Make, rotate and revoke the platform's tokens.
    PlatformTokenManage "platform_token.manage" Admin [] [Admin];
    /// See people.
    UserRead "user.read" Read [] [Admin Operator Viewer];
    /// Make people, rename them, shut them out, let them set another password.
    UserManage "user.manage" Admin [] [Admin Operator];
    /// Give roles in the platform, and manage people who have one.
    PlatformRoleManage "platform_role.manage" Admin [] [Admin];
    /// See how the platform does: drift, dead letters, the platform's own tokens.
    PlatformRead "platform.read" Read [] [Admin Operator Viewer];
    /// Read every audit log: the organizations', and the platform's own.
    PlatformAuditRead "platform_audit.read" Read [] [Admin Operator Viewer];
    /// Act on how the platform does.
    PlatformOperate "platform.operate" Admin [] [Admin Operator];
}

/// What a holder may do somewhere: a set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u64);

const _: () = assert!(Action::ALL.len() <= 64, "a set of actions is one word");

impl Permissions {
    /// What a holder with these roles and token scopes may do.
    pub fn of(
        role: Option<Role>,
        platform_role: Option<PlatformRole>,
        scopes: &[TokenScope],
    ) -> Self {
        let by_role = |action: &Action| {
            role.is_some_and(|role| action.roles().contains(&role))
                || platform_role.is_some_and(|role| action.platform_roles().contains(&role))
        };
        let by_scope = |action: &Action| scopes.iter().any(|scope| scope.includes(action.scope()));
        let allowed = Action::ALL.iter().filter(|action| by_role(action) && by_scope(action));
        Self(allowed.fold(0, |set, action| set | bit(*action)))
    }

    /// Whether the action is among them.
    pub const fn allow(self, action: Action) -> bool {
        self.0 & bit(action) != 0
    }
}

const fn bit(action: Action) -> u64 {
    1 << action as u64
}

impl Action {
    /// Whether it changes nothing: what a suspended organization may still do.
    pub const fn is_read(self) -> bool {
        matches!(self.scope(), TokenScope::Read)
    }
}

/// The table in Markdown, as `docs/security.md` has it.
pub fn table() -> String {
    let words = |names: Vec<&str>| match names.as_slice() {
        [] => "–".to_owned(),
        names => names.join(", "),
    };
    let rows = Action::ALL.iter().map(|action| {
        let roles = action.roles().iter().map(|role| role.as_str()).collect();
        let platform = action.platform_roles().iter().map(|role| role.as_str()).collect();
        let (scope, roles, platform) = (action.scope(), words(roles), words(platform));
        format!("| `{action}` | `{scope}` | {roles} | {platform} |\n")
    });
    let head = "| action | token scope | roles in the organization | roles in the platform |\n\
                |---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_and_scope_must_both_allow() {
        use TokenScope::{Deploy, Manage, Read};
        let of = |role, scopes: &[TokenScope]| Permissions::of(Some(role), None, scopes);
        assert!(of(Role::Developer, &[Deploy]).allow(Action::AppDeploy));
        assert!(!of(Role::Developer, &[Read]).allow(Action::AppDeploy), "the scope is too low");
        assert!(!of(Role::Viewer, &[Manage]).allow(Action::AppDeploy), "the role is too low");
        assert!(!of(Role::Owner, &[TokenScope::Admin]).allow(Action::OrganizationList));
        assert_eq!(Permissions::of(None, None, TokenScope::ALL), Permissions::default());
    }

    #[test]
    fn the_docs_print_the_table() {
        let docs = include_str!("../../../docs/security.md");
        assert!(docs.contains(&table()), "docs/security.md should have:\n{}", table());
    }

    #[test]
    fn every_action_is_somebodys_and_viewers_change_nothing() {
        for action in Action::ALL {
            let is_somebodys = !action.platform_roles().is_empty();
            assert!(is_somebodys, "{action}: a platform admin can help out");
            let by_viewer = action.roles().contains(&Role::Viewer)
                || action.platform_roles().contains(&PlatformRole::Viewer);
            assert!(!by_viewer || action.is_read(), "{action}");
            let wider = action.roles().contains(&Role::Developer);
            assert!(!wider || action.roles().contains(&Role::Admin), "{action}: roles are ordered");
        }
    }
}
