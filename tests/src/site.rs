//! Where in Swarm a test's installation is: on the one node that `./dev test` starts, or on a rig of several.

use anyhow::Result;
use model::platform::Encryption;
use model::spec::EndpointMode;

use crate::docker::Engine;
use crate::environment::environment;

/// A swarm, as a worker is told of it, and what its nodes' kernels can do.
#[derive(Debug, Clone)]
pub struct Site {
    /// The manager that is driven: a `unix://` URL.
    pub docker_host: String,
    /// The daemons of its other nodes.
    pub hosts: Vec<String>,
    /// Whether its networks are encrypted.
    pub encryption: Encryption,
    /// How its apps' names are answered.
    pub endpoint_mode: EndpointMode,
    /// Whether apps run on its managers though it has workers.
    pub tenants_on_managers: bool,
}

impl Site {
    /// The one node. Its kernel has neither virtual addresses for services (IPVS) nor ESP; within one node nothing is
    /// encrypted anyway.
    pub fn here() -> Self {
        Self {
            docker_host: environment().docker_host.clone(),
            hosts: Vec::new(),
            encryption: Encryption::On,
            endpoint_mode: EndpointMode::Dnsrr,
            tenants_on_managers: false,
        }
    }

    /// The manager's daemon.
    pub fn engine(&self) -> Result<Engine> {
        Engine::at(&self.docker_host)
    }
}
