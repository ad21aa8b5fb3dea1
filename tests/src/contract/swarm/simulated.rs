//! The stage of the simulated Swarm: a paused clock, and images that do what the sample app's do.

use std::time::Duration;

use anyhow::Result;
use chrono::Utc;
use ipnet::Ipv4Net;
use orchestrator::swarm::LocalImage;
use tokio::runtime::Builder;

use super::{Image, Stage};
use crate::Outcome;
use crate::twin::swarm::{Behaviour, End, SimulatedSwarm};

/// Schedules that each case is tried on.
const SEEDS: u64 = 50;

/// A simulated Swarm.
struct SimulatedStage {
    swarm: SimulatedSwarm,
}

impl SimulatedStage {
    fn new(seed: u64) -> Self {
        let swarm = SimulatedSwarm::new(seed, 0, Utc::now());
        for image in [Image::Good, Image::Better, Image::Unhealthy, Image::Crashing] {
            let soon = Behaviour::healthy(Duration::from_millis(600));
            let behaviour = match image {
                Image::Unhealthy => Behaviour {
                    healthy_after: None,
                    ends: Some((Duration::from_millis(1200), End::Unhealthy(0))),
                    ..soon
                },
                Image::Crashing => {
                    Behaviour { ends: Some((Duration::from_secs(2), End::Exit(1))), ..soon }
                }
                _ => soon,
            };
            swarm.behave(image.name(), [behaviour]);
            let id = format!("sha256:{}", image.name());
            swarm.load(image.name(), Some(LocalImage { id, in_registry: false }));
        }
        swarm.behave(Image::Missing.name(), [Behaviour::missing()]);
        Self { swarm }
    }
}

impl Stage for SimulatedStage {
    type Swarm = SimulatedSwarm;

    fn swarm(&self) -> &SimulatedSwarm {
        &self.swarm
    }

    fn platform(&self) -> String {
        "simulated".to_owned()
    }

    fn subnets(&self) -> Ipv4Net {
        Ipv4Net::new_assert([10, 0, 0, 0].into(), 20)
    }

    async fn roll_back(&self, service: &str) -> Result<bool> {
        Ok(self.swarm.trigger_rollback(service))
    }
}

/// Tells a case on many simulated Swarms.
fn on_simulated(case: impl AsyncFn(&SimulatedStage) -> Outcome) -> Outcome {
    for seed in 0..SEEDS {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let told = runtime.block_on(async { case(&SimulatedStage::new(seed)).await });
        told.map_err(|error| error.context(format!("with seed {seed}")))?;
    }
    Ok(())
}

mod cases {
    crate::swarm_contract!(crate::contract::swarm::simulated::on_simulated);
}
