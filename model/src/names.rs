//! The names and labels of Swarm objects. Names are global in a Swarm and end at 63 characters,
//! so they are made from ids; labels tell people (and the reconciler) what is whose.

use crate::id::{AppId, EnvironmentId, NetworkId, OrganizationId};

/// Where the platform's health probe is mounted in a container.
pub const PROBE_PATH: &str = "/skep-probe";

/// Label: the installation. Nothing without our value of it is ever touched.
pub const LABEL_PLATFORM: &str = "skep.platform";
/// Label: the organization's id.
pub const LABEL_ORGANIZATION: &str = "skep.organization";
/// Label: the environment's id.
pub const LABEL_ENVIRONMENT: &str = "skep.environment";
/// Label: the app's id.
pub const LABEL_APP: &str = "skep.app";
/// Service label: the release that the service carries. Swaps back with the spec when Swarm
/// rolls back, which is how a verdict can know.
pub const LABEL_RELEASE: &str = "skep.release";
/// Service label: the deployment that wrote the spec.
pub const LABEL_DEPLOYMENT: &str = "skep.deployment";
/// Service label of an isolation check's probes: the installation. Not [`LABEL_PLATFORM`], which is of what the reconciler
/// watches over: it knows nothing of probes.
pub const LABEL_CHECKS: &str = "skep.checks";
/// Service label of a probe: its isolation check.
pub const LABEL_CHECK: &str = "skep.check";
/// Service label: the credential that its image's registry is shown, and its version (`cred_…/3`). Changing it replaces no task.
pub const LABEL_REGISTRY_LOGIN: &str = "skep.registry-login";
/// Label of a secret or a config: the version that it holds.
pub const LABEL_SECRET_VERSION: &str = "skep.secret-version";
/// Container label: hash of what makes a task.
pub const LABEL_SPEC: &str = "skep.spec";
/// What a tenant's own label keys are prefixed with.
pub const TENANT_LABEL_PREFIX: &str = "tenant.";

/// Longest name of a Swarm object.
pub const MAX_NAME: usize = 63;

/// The name of an app's Swarm service: for people first, unique by the id.
pub fn service_name(slug: &str, app: AppId) -> String {
    let id = app.to_string();
    let unique = id.trim_start_matches("app_");
    let readable = &slug[..slug.len().min(MAX_NAME - 1 - unique.len())];
    format!("{}-{unique}", readable.trim_end_matches('-'))
}

/// Whether a service of this name is the app's. A label can be copied to a service of any name.
pub fn is_service_name(name: &str, app: AppId) -> bool {
    let id = app.to_string();
    name.strip_suffix(id.trim_start_matches("app_")).is_some_and(|slug| slug.ends_with('-'))
}

/// The names that an app is found by inside its environment's network.
pub fn aliases(slug: &str) -> [String; 2] {
    [slug.to_owned(), format!("{slug}.internal")]
}

/// The name of an environment's network: `org-{organization}-network` for `production`.
pub fn network_name(
    organization: OrganizationId,
    environment: EnvironmentId,
    environment_slug: &str,
) -> String {
    if environment_slug == crate::environment::PRODUCTION {
        format!("org-{}-network", organization.to_string().trim_start_matches("org_"))
    } else {
        format!("env-{}-network", environment.to_string().trim_start_matches("env_"))
    }
}

/// The name of a network that takes the place of an environment's first one.
pub fn next_network_name(network: NetworkId) -> String {
    format!("net-{}-network", network.to_string().trim_start_matches("net_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let slug = format!("{}-b", "a".repeat(38));
        let (one, two) = (service_name(&slug, AppId::new()), service_name(&slug, AppId::new()));
        assert!(one.len() <= MAX_NAME && one != two);
        let app = AppId::new();
        assert!(is_service_name(&service_name(&slug, app), app) && !is_service_name(&one, app));
        let organization = OrganizationId::new();
        let name = network_name(organization, EnvironmentId::new(), "production");
        assert!(name.len() <= MAX_NAME && name.starts_with("org-0"));
    }
}
