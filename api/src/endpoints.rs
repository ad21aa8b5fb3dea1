//! The endpoints, one file per resource. A handler states its access, asks `db` one thing, and
//! shapes the answer.

pub(crate) mod app_disk;
pub(crate) mod app_health;
pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod configs;
pub(crate) mod dead_letters;
pub(crate) mod deployments;
pub(crate) mod drift;
pub(crate) mod environments;
pub(crate) mod health;
pub(crate) mod invitations;
pub(crate) mod isolation_checks;
pub(crate) mod logs;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod organizations;
pub(crate) mod password_resets;
pub(crate) mod plans;
pub(crate) mod platform;
pub(crate) mod quotas;
pub(crate) mod registry_credentials;
pub(crate) mod releases;
pub(crate) mod secrets;
pub(crate) mod sessions;
pub(crate) mod subnets;
pub(crate) mod tokens;
pub(crate) mod users;

use poem_openapi::{OpenApiService, Tags};

use app_disk::AppDisks;
use app_health::AppHealth;
use apps::Apps;
use audit::AuditEndpoints;
use configs::Configs;
use dead_letters::DeadLetterEndpoints;
use deployments::Deployments;
use drift::DriftEndpoints;
use environments::Environments;
use health::HealthChecks;
use invitations::Invitations;
use isolation_checks::IsolationChecks;
use logs::Logs;
use me::Me;
use members::Members;
use organizations::Organizations;
use password_resets::PasswordResets;
use plans::Plans;
use platform::PlatformEndpoints;
use quotas::QuotaEndpoints;
use registry_credentials::RegistryCredentials;
use releases::Releases;
use secrets::Secrets;
use sessions::Sessions;
use subnets::Subnets;
use tokens::{OrganizationTokens, PersonalTokens, PlatformTokens};
use users::Users;

/// All endpoints of the document.
pub(crate) type Endpoints = (
    Organizations,
    People,
    OrganizationTokens,
    PersonalTokens,
    PlatformTokens,
    Environments,
    (Secrets, Configs, RegistryCredentials),
    (QuotaEndpoints, Plans),
    Apps,
    (AppHealth, AppDisks, Logs),
    Deployments,
    Releases,
    Operators,
    AuditEndpoints,
    HealthChecks,
);

/// Those of who operates the platform.
type Operators = (DeadLetterEndpoints, DriftEndpoints, Subnets, IsolationChecks, PlatformEndpoints);

/// Those of people: a tuple holds sixteen at most.
type People = (Sessions, Me, Members, Invitations, PasswordResets, Users);

#[derive(Tags)]
enum Tag {
    /// The tenants. Operators make them; each is born with the environment `production`.
    Organizations,
    /// People: how they log in, what they are in organizations, how they get in.
    People,
    /// API tokens: of organizations, of people, and of the platform.
    Tokens,
    /// Isolated places inside an organization, each with an encrypted network of its own.
    Environments,
    /// Values that reach apps as files: sealed when they come in, versioned, and shown to nobody again.
    Secrets,
    /// What an organization shows image registries, so that nobody runs its private images but itself.
    Registries,
    /// What organizations may use, and what they use of it.
    Quotas,
    /// The deployable workloads. Creating or patching an app changes nothing that runs: a
    /// deployment does.
    Apps,
    /// Attempts to change what runs. Each is accepted at once, ends in exactly one verdict, and
    /// says why.
    Deployments,
    /// Immutable, numbered snapshots of an app.
    Releases,
    /// Who did what, who looked, and who was refused.
    Audit,
    /// The platform itself, for operators.
    Platform,
    /// Whether this process is well.
    Health,
}

const ABOUT: &str = "\
Deploys containerised apps on Docker Swarm, each organization's environment on an encrypted network \
of its own.

Send `Authorization: Bearer skep_…`: a token, or the session that `POST /v1/sessions` answers with. Path segments take slugs or ids. Lists are paged: pass \
`next_cursor` on as `cursor`. Deployments are accepted with 202; follow them with \
`GET …/deployments/{deployment}?wait=30`. Errors are problem details (RFC 9457) with a stable `code`.

Every POST and the removal of an app take an `Idempotency-Key`: sent again within 24 \
hours with the same token, path and body, the request changes nothing and is answered as it was, with \
`Idempotency-Replayed: true`. Secrets are never kept: a repetition is answered without them. A request \
that was refused leaves its key free. What takes no token is repeated by what it shows instead, and a password is \
not compared, nor is a secret's value.";

/// The service of all endpoints.
pub(crate) fn service() -> OpenApiService<Endpoints, ()> {
    let endpoints = (
        Organizations,
        (Sessions, Me, Members, Invitations, PasswordResets, Users),
        OrganizationTokens,
        PersonalTokens,
        PlatformTokens,
        Environments,
        (Secrets, Configs, RegistryCredentials),
        (QuotaEndpoints, Plans),
        Apps,
        (AppHealth, AppDisks, Logs),
        Deployments,
        Releases,
        (DeadLetterEndpoints, DriftEndpoints, Subnets, IsolationChecks, PlatformEndpoints),
        AuditEndpoints,
        HealthChecks,
    );
    OpenApiService::new(endpoints, "Skep", "1").description(ABOUT)
}
