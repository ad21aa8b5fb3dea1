//! The end of networks: of an environment that was removed, or that was given another one. A network leaves the swarm when
//! no service is on it any more; then its row goes, and its subnet rests. Each step is looked for anew, so that a worker
//! that dies in between leaves nothing that another one does not finish.

use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::deployments::deployment_repair;
use db::networks::{Retired, network_gone, networks_retired};
use model::error::chain;
use model::platform::Platform;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::network::remove_network;
use crate::swarm::Swarm;
use crate::wakeups::Relay;

/// Between two looks.
const ROUND: Duration = Duration::from_secs(2);
/// Most networks of one look.
const BATCH: i64 = 20;

/// Postgres's, or the daemon's.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Takes networks out of the swarm.
pub struct Retirements<S, R> {
    /// Where their rows are.
    pub database: Database,
    /// Where they are.
    pub swarm: Arc<S>,
    /// The installation's settings.
    pub platform: Arc<Platform>,
    /// Where the wake-ups of apps that move go out.
    pub relay: R,
}

impl<S: Swarm, R: Relay> Retirements<S, R> {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.round().await {
                    tracing::warn!(error = %error.chain(), "it is not known which networks are to go; asked again");
                }
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> model::Result<()> {
        for retired in networks_retired(&self.database, BATCH).await? {
            // One network's trouble is not the others'.
            if let Err(error) = self.retire(&retired).await {
                let error = chain(&*error);
                tracing::info!(error, network = retired.name, "not gone yet; tried again");
            }
        }
        Ok(())
    }

    async fn retire(&self, retired: &Retired) -> Result<(), Failure> {
        let Retired { id, organization, name, .. } = retired;
        if retired.is_awaited || self.move_apps(retired).await? {
            return Ok(());
        }
        // Swarm takes none away that a task is on.
        remove_network(&*self.swarm, &self.platform.name, name, *organization).await?;
        network_gone(&self.database, *id).await?;
        tracing::info!(network = name, "it left the swarm; its subnet rests");
        Ok(())
    }

    /// Accepts a deployment of what is live for each app whose service is still on the network: that puts it on the one that
    /// its environment has now. Whether there is such an app.
    async fn move_apps(&self, retired: &Retired) -> Result<bool, Failure> {
        let Some(network) = self.swarm.network(&retired.name).await? else { return Ok(false) };
        let mut is_used = false;
        let apps = retired.apps.iter().zip(&retired.services);
        for ((app, name), (version, idle)) in apps.zip(retired.versions.iter().zip(&retired.idle)) {
            let Some(service) = self.swarm.service(name).await? else { continue };
            if !service.networks.contains(&network.id) {
                continue;
            }
            is_used = true;
            if *idle && service.replicas == 0 {
                // No task of it runs, and its next deployment makes it anew.
                self.swarm.service_remove(name).await?;
                continue;
            }
            let why =
                format!("its environment was given another network: it moves off {}", retired.name);
            if deployment_repair(&self.database, *app, *version, &why, Some(retired.retired_at))
                .await?
                .is_some()
            {
                self.relay.wake();
                tracing::info!(%app, network = retired.name, "moves to another network");
            }
        }
        Ok(is_used)
    }
}
