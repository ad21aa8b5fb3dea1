//! A second node: a dockerd with images and containers of its own. It is in no swarm.

use anyhow::{Context as _, Result};

use crate::dev::dev;
use crate::docker::Engine;
use crate::environment::environment;

/// A node that one test has for itself.
pub struct SecondNode {
    /// Its dockerd.
    pub engine: Engine,
    /// Where that is reached: a `unix://` URL.
    pub host: String,
}

impl SecondNode {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        let host = environment().second_docker_host.clone().context(
            "no second dockerd: SKEP_DEV_SECOND_DOCKER_HOST is not set. ./dev test says where one may be, \
             unless SKEP_DEV_DOCKER_HOST names a dockerd of yours",
        )?;
        dev(&["node", "start"]).await?;
        Ok(Self { engine: Engine::at(&host)?, host })
    }

    /// Ends it, and whatever runs on it.
    pub async fn stop(self) -> Result<()> {
        dev(&["node", "stop"]).await
    }
}
