//! The actions of `model::policy::access`, each as a type: what a handler's argument states.

use model::policy::access::Action;
use model::rate::RateClass;

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
    /// What it costs: the class of its requests.
    const CLASS: RateClass = RateClass::General;
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
    OrganizationRead TokenRead TokenManage MemberRead MemberManage AuditRead EnvironmentRead EnvironmentManage AppRead AppManage SecretRead SecretManage RegistryCredentialRead RegistryCredentialManage QuotaRead QuotaManage
    OrganizationList OrganizationCreate OrganizationSuspend OrganizationDelete ExceptionManage UserRead UserManage PlatformRead PlatformAuditRead PlatformOperate
    PlatformTokenManage
}

/// What costs more than to read and write Postgres.
macro_rules! dear {
    ($($(#[$doc:meta])* $name:ident: $action:ident, $class:ident;)+) => { $(
        $(#[$doc])*
        pub(crate) enum $name {}

        impl Asks for $name {
            const NEEDS: Needs = Needs::Action(Action::$action);
            const CLASS: RateClass = RateClass::$class;
        }
    )+ };
}

dear! {
    /// Changes what runs of an app.
    AppDeploy: AppDeploy, Operations;
    /// Removes an app, and what runs of it.
    AppRemove: AppManage, Operations;
    /// Gives an environment another network: its apps are moved.
    NetworkReplace: EnvironmentManage, Operations;
    /// Gives a secret or a config a new version: apps that follow it are deployed.
    SecretChange: SecretManage, Operations;
    /// Has a worker ask a registry whether it takes a credential.
    RegistryAsk: RegistryCredentialManage, Operations;
    /// Has workers try whether environments are apart.
    IsolationTry: PlatformOperate, Operations;
    /// Reads an organization's whole audit log.
    AuditExport: AuditRead, Aggregations;
    /// Reads every audit log.
    PlatformAuditExport: PlatformAuditRead, Aggregations;
    /// Counts what is left of every subnet pool.
    SubnetsCount: PlatformRead, Aggregations;
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
