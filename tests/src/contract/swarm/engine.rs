//! The stage of the real engine: the dockerd of this run, with a platform name and a range of
//! subnets that no other test has.

use anyhow::{Context as _, Result};
use bollard::query_parameters::UpdateServiceOptionsBuilder;
use ipnet::Ipv4Net;
use orchestrator::swarm::{DockerSwarm, Swarm as _};
use tokio::sync::OnceCell;

use super::Stage;
use crate::Outcome;
use crate::docker::Engine;
use crate::environment::environment;
use crate::mark::Mark;
use crate::run::in_harness;
use crate::subnets::Subnets;

/// The real Swarm.
pub struct EngineStage {
    swarm: DockerSwarm,
    engine: Engine,
    mark: Mark,
    subnets: Subnets,
}

impl Stage for EngineStage {
    type Swarm = DockerSwarm;

    fn swarm(&self) -> &DockerSwarm {
        &self.swarm
    }

    fn platform(&self) -> String {
        self.mark.to_string()
    }

    fn subnets(&self) -> Ipv4Net {
        self.subnets.range()
    }

    async fn roll_back(&self, service: &str) -> Result<bool> {
        let docker = self.engine.client();
        let found = docker.inspect_service(service, None).await?;
        let version = found.version.and_then(|version| version.index).context("no version")?;
        let options = UpdateServiceOptionsBuilder::new()
            .version(i32::try_from(version)?)
            .rollback("previous")
            .build();
        // The spec is asked for and ignored.
        let spec = found.spec.unwrap_or_default();
        Ok(docker.update_service(service, spec, options, None).await.is_ok())
    }
}

/// Tells a case on the real engine, and takes away what it made.
pub fn on_engine(case: impl AsyncFnOnce(&EngineStage) -> Outcome) -> Outcome {
    in_harness(async {
        let stage = EngineStage {
            swarm: DockerSwarm::connect(&environment().docker_host, None)?,
            engine: Engine::connect()?,
            mark: Mark::new(),
            subnets: Subnets::take().await?,
        };
        // Of two that find no swarm at once, one would fail.
        static INITIALISED: OnceCell<()> = OnceCell::const_new();
        INITIALISED.get_or_try_init(|| stage.swarm.ensure_initialised()).await?;
        let told = case(&stage).await;
        let removed = stage.engine.remove_platform(&stage.platform()).await;
        told.and(removed)
    })
}
