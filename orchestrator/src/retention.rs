//! Retention's other half: the images of releases that are past retention are taken off the nodes, slowly.
//!
//! Only off the nodes whose daemons this worker reaches, and it says which others there are; only images
//! that were pulled by the digest that a release was resolved to, and that nobody gave a tag; never by force:
//! what a container was made of stays. A local image, which a release runs by its id, is never touched: it
//! exists nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::retention::images_unneeded;
use futures::StreamExt as _;
use futures::stream;
use model::error::chain;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::swarm::docker::{DockerSwarm, Host, ImageRemoval};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(600);
/// Nodes that are looked through side by side: each look may hold a connection to Postgres.
const HOSTS_AT_ONCE: usize = 2;
/// Most images of one statement.
const BATCH: usize = 500;
/// Between two removals on one node: a daemon that deletes layers answers others late.
const PAUSE: Duration = Duration::from_millis(200);

/// Postgres's, or the daemon's.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Takes images off the nodes.
pub struct Retention {
    /// Whose releases need images.
    pub database: Database,
    /// The nodes' daemons.
    pub swarm: Arc<DockerSwarm>,
}

impl Retention {
    /// Runs until `stop`: at once, and every ten minutes. Several workers at it do no harm.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            let mut told = BTreeSet::new();
            loop {
                self.tell_of_nodes_without_host(&mut told).await;
                stream::iter(self.swarm.hosts())
                    .for_each_concurrent(HOSTS_AT_ONCE, |host| self.round_or_complaint(host))
                    .await;
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// Once of each node, until that changes: a round that says the same each time is not read.
    async fn tell_of_nodes_without_host(&self, told: &mut BTreeSet<String>) {
        match self.swarm.nodes_without_host().await {
            Ok(nodes) if nodes != *told => {
                *told = nodes;
                if !told.is_empty() {
                    let nodes = Vec::from_iter(told.iter().map(String::as_str)).join(", ");
                    tracing::warn!(
                        nodes,
                        "images past retention stay on these nodes: none of the daemons of DOCKER_HOST and \
                         SKEP_HOSTS that answer is theirs"
                    );
                }
            }
            Ok(_) => {}
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "not known whether every node's images can be removed");
            }
        }
    }

    /// One node's trouble is not the others'.
    async fn round_or_complaint(&self, host: &Host) {
        if let Err(error) = self.round(host).await {
            let error = chain(&*error);
            tracing::warn!(%host, error, "images past retention stay for now; again in a while");
        }
    }

    /// Removes every image that this node has and no release needs. Ends at the first that the daemon
    /// does not answer for: the next round goes on from there.
    pub async fn round(&self, host: &Host) -> Result<(), Failure> {
        // From what the node has to what is not needed, and not the other way: nothing has to be
        // remembered of what was removed already.
        let there = host.images_by_digest().await?;
        for batch in there.chunks(BATCH) {
            for image in images_unneeded(&self.database, batch).await? {
                self.remove(host, image).await?;
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn remove(&self, host: &Host, image: String) -> Result<(), Failure> {
        // A deployment may have been resolved to it since the batch was asked for. One that is
        // resolved to it from here on is scheduled after the removal, and its node pulls again.
        let still = images_unneeded(&self.database, std::slice::from_ref(&image)).await?;
        if still.is_empty() {
            return Ok(());
        }
        match host.image_remove(&image).await? {
            ImageRemoval::Removed => tracing::info!(%host, image, "removed: no release needs it"),
            ImageRemoval::InUse => {
                tracing::debug!(%host, image, "past retention, and a container is of it")
            }
            ImageRemoval::Gone => {}
        }
        Ok(())
    }
}
