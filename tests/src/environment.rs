//! Which services the tests run on: what `./dev test` exports.

use std::sync::LazyLock;

use anyhow::{Context as _, Result};

/// Addresses of the services.
#[derive(Debug)]
pub struct Environment {
    /// Postgres, as a superuser.
    pub admin_url: String,
    /// RabbitMQ.
    pub amqp_url: String,
    /// dockerd: a `unix://` URL.
    pub docker_host: String,
    /// Where `./dev node start` puts a second dockerd; `None` with a dockerd of the caller's.
    pub second_docker_host: Option<String>,
    /// The directory of the sockets of the nodes that `./dev rig up` starts; `None` with a dockerd of the caller's.
    pub rig_sockets: Option<String>,
    /// The registry's address as dockerd sees it; `None` with a dockerd of the caller's.
    pub registry: Option<String>,
    /// That of the one that asks who is there, and whom it knows (`user:password`).
    pub private_registry: Option<(String, String)>,
}

/// The environment of this run.
///
/// # Panics
/// Where it is not there: nothing could be tested.
pub fn environment() -> &'static Environment {
    static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| Environment {
        admin_url: needed("SKEP_DEV_ADMIN_URL"),
        amqp_url: needed("AMQP_URL"),
        docker_host: needed("DOCKER_HOST"),
        second_docker_host: variable("SKEP_DEV_SECOND_DOCKER_HOST"),
        rig_sockets: variable("SKEP_DEV_RIG_SOCKETS"),
        registry: variable("SKEP_DEV_REGISTRY"),
        private_registry: variable("SKEP_DEV_PRIVATE_REGISTRY")
            .zip(variable("SKEP_DEV_PRIVATE_REGISTRY_LOGIN")),
    });
    &ENVIRONMENT
}

impl Environment {
    /// The registry that asks who is there: its address, a user and a password.
    pub fn private_registry(&self) -> Result<(&str, &str, &str)> {
        let missing = "no registry with accounts: SKEP_DEV_PRIVATE_REGISTRY is not set. ./dev test \
             starts one, unless SKEP_DEV_DOCKER_HOST names a dockerd of yours";
        let (address, login) = self.private_registry.as_ref().context(missing)?;
        let (user, password) = login.split_once(':').context("a login is user:password")?;
        Ok((address, user, password))
    }

    /// The registry; an error that says how to get one.
    pub fn registry(&self) -> Result<&str> {
        let missing = "no registry to push to: SKEP_DEV_REGISTRY is not set. ./dev test starts one, \
             unless SKEP_DEV_DOCKER_HOST names a dockerd of yours";
        self.registry.as_deref().context(missing)
    }
}

/// Whether a switch is set.
pub fn is_set(name: &str) -> bool {
    variable(name).is_some()
}

#[expect(clippy::panic, reason = "without services there is no test that could fail instead")]
fn needed(name: &str) -> String {
    match variable(name) {
        Some(value) => value,
        None => panic!("{name} is not set: run ./dev test"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no flags of their own: ./dev test exports"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A number that a person may set for a run.
pub fn number(name: &str) -> Result<Option<u64>> {
    let parsed = variable(name).map(|text| text.parse());
    parsed.transpose().with_context(|| format!("{name} is not a number"))
}
