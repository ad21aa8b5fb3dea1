//! The actions of `model::policy::access`, each as a type: what a handler's argument states.

use model::policy::access::Action;

/// What a handler does, as far as it is asked of the holder.
#[derive(Clone, Copy)]
pub(crate) enum Needs {
    /// A role and a scope that allow this.
    Action(Action),
    /// A person: it is their own.
    Person,
    /// A person who has logged in: what a leaked token must not be able to do.
    Session,
}

impl Needs {
    /// Its name in the API's document.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Action(action) => action.as_str(),
            Self::Person => "person",
            Self::Session => "session",
        }
    }
}

/// The type of what a handler does.
pub(crate) trait Asks: Send + Sync + 'static {
    /// What is asked of the holder.
    const NEEDS: Needs;
}

macro_rules! actions {
    ($($name:ident)+) => { $(
        #[doc = concat!("Does [`Action::", stringify!($name), "`].")]
        pub(crate) enum $name {}

        impl Asks for $name {
            const NEEDS: Needs = Needs::Action(Action::$name);
        }
    )+ };
}

actions! {
    OrganizationRead TokenRead TokenManage MemberRead MemberManage AuditRead EnvironmentRead EnvironmentManage AppRead AppManage AppDeploy SecretRead SecretManage RegistryCredentialRead RegistryCredentialManage QuotaRead QuotaManage
    OrganizationList OrganizationCreate OrganizationSuspend OrganizationDelete ExceptionManage UserRead UserManage PlatformRead PlatformAuditRead PlatformOperate
    PlatformTokenManage
}

/// Reads what is a person's own.
pub(crate) enum OwnRead {}

impl Asks for OwnRead {
    const NEEDS: Needs = Needs::Person;
}

/// Changes what is a person's own.
pub(crate) enum OwnManage {}

impl Asks for OwnManage {
    const NEEDS: Needs = Needs::Session;
}
