//! The runner: takes deployments out of the ledger and drives as many at once as it has slots.
//!
//! A message of the broker and the periodic sweep lead into the same function: look into Postgres,
//! claim what is next. A message says nothing that the sweep would not find, only sooner.

use std::sync::Arc;
use std::time::Duration;

use model::id::WorkerId;
use model::platform::Platform;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::deployment::{Driver, Drove};
use crate::ledger::Ledger;
use crate::swarm::Swarm;
use crate::vault::Vault;
use crate::wakeups::{Acknowledge, Relay, Wakeups};

/// How often the ledger is looked into without having been told.
const SWEEP: Duration = Duration::from_secs(3);
/// Pause after Postgres failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs deployments on this worker.
pub struct Runner<S, L, R> {
    /// This process, as the holder of leases.
    pub worker: WorkerId,
    /// The ledger.
    pub ledger: L,
    /// The swarm.
    pub swarm: Arc<S>,
    /// The installation's settings.
    pub platform: Arc<Platform>,
    /// What releases mount.
    pub vault: Arc<dyn Vault>,
    /// Deployments that are driven at once.
    pub slots: usize,
    /// Where the wake-ups of our own transitions go out.
    pub relay: R,
}

impl<S: Swarm, L: Ledger, R: Relay> Runner<S, L, R> {
    /// Runs until `stop`, then hands over what is in progress: another worker goes on at once.
    pub async fn run(self, mut wakeups: impl Wakeups, stop: CancellationToken) {
        self.await_swarm(&stop).await;
        let slots = Arc::new(Semaphore::new(self.slots));
        let drives = TaskTracker::new();
        let freed = Arc::new(Notify::new());
        let (ledger, swarm) = (self.ledger.clone(), Arc::clone(&self.swarm));
        let (platform, vault) = (Arc::clone(&self.platform), Arc::clone(&self.vault));
        let driver = Arc::new(Driver::new(ledger, swarm, platform, vault));
        loop {
            // In this order, also of what is ready at once: one seed of a fault search is one run.
            let wakeup = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                wakeup = wakeups.next() => wakeup,
                () = freed.notified() => None,
                () = sleep(SWEEP) => None,
            };
            while let Some(slot) = self.slot(&slots, &stop).await {
                let claimed_at = Instant::now();
                match self.ledger.claim_next(self.worker).await {
                    Ok(Some(claim)) => {
                        let (driver, stop) = (Arc::clone(&driver), stop.clone());
                        let (relay, freed) = (self.relay.clone(), Arc::clone(&freed));
                        drives.spawn(async move {
                            let drove = driver.drive(claim, claimed_at, &stop).await;
                            if let Drove::Lost = drove {
                                tracing::warn!(deployment = %claim.deployment, "lost the claim");
                            }
                            drop(slot);
                            relay.wake();
                            freed.notify_one();
                        });
                    }
                    Ok(None) => break,
                    Err(error) => {
                        // Holds the message and takes no other: nothing is worked on blindly.
                        tracing::warn!(error = error.chain(), "the ledger does not answer");
                        sleep(AGAIN).await;
                    }
                }
            }
            // Stopping, it may not have been claimed: unanswered, it comes to another worker.
            if let Some(wakeup) = wakeup.filter(|_| !stop.is_cancelled()) {
                wakeup.done().await;
            }
        }
        drives.close();
        drives.wait().await;
        match self.ledger.hand_over(self.worker).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "handed over"),
            Err(error) => tracing::warn!(
                error = error.chain(),
                "leases could not be handed over; they expire by themselves"
            ),
        }
        self.relay.wake();
    }

    /// A free slot; `None` when stopping.
    async fn slot(
        &self,
        slots: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            slot = Arc::clone(slots).acquire_owned() => slot.ok(),
        }
    }

    /// Nothing is claimed before there is a swarm to drive: it stays queued, and nothing is lost.
    async fn await_swarm(&self, stop: &CancellationToken) {
        let mut pause = Duration::from_millis(200);
        while !stop.is_cancelled() {
            match self.swarm.ensure_initialised().await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, ?pause, "no swarm to drive yet; tried again"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}
