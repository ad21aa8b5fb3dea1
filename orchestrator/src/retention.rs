//! Retention's other half: the images of releases that are past retention are taken off the node, slowly.
//!
//! Only off the node whose daemon this worker reaches; only images that were pulled by the digest that a
//! release was resolved to, and that nobody gave a tag; never by force: what a container was made of
//! stays. A local image, which a release runs by its id, is never touched: it exists nowhere else.

use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::retention::images_unneeded;
use model::error::chain;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::swarm::docker::{DockerSwarm, ImageRemoval};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(600);
/// Most images of one statement.
const BATCH: usize = 500;
/// Between two removals: a daemon that deletes layers answers others late.
const PAUSE: Duration = Duration::from_millis(200);

/// Postgres's, or the daemon's.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Takes images off the node of this daemon.
pub struct Retention {
    /// Whose releases need images.
    pub database: Database,
    /// The node's daemon.
    pub swarm: Arc<DockerSwarm>,
}

impl Retention {
    /// Runs until `stop`: at once, and every ten minutes. Several workers at it do no harm.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.round().await {
                    let error = chain(&*error);
                    tracing::warn!(error, "images past retention stay for now; again in a while");
                }
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// Removes every image that this node has and no release needs. Ends at the first that the daemon
    /// does not answer for: the next round goes on from there.
    pub async fn round(&self) -> Result<(), Failure> {
        // From what the node has to what is not needed, and not the other way: nothing has to be
        // remembered of what was removed already.
        let there = self.swarm.images_by_digest().await?;
        for batch in there.chunks(BATCH) {
            for image in images_unneeded(&self.database, batch).await? {
                self.remove(image).await?;
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn remove(&self, image: String) -> Result<(), Failure> {
        // A deployment may have been resolved to it since the batch was asked for. One that is
        // resolved to it from here on is scheduled after the removal, and its node pulls again.
        let still = images_unneeded(&self.database, std::slice::from_ref(&image)).await?;
        if still.is_empty() {
            return Ok(());
        }
        match self.swarm.image_remove(&image).await? {
            ImageRemoval::Removed => tracing::info!(image, "removed: no release needs it"),
            ImageRemoval::InUse => {
                tracing::debug!(image, "past retention, and a container is of it")
            }
            ImageRemoval::Gone => {}
        }
        Ok(())
    }
}
