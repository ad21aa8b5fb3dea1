//! The lease on a claimed deployment, kept alive on a task of its own.
//!
//! Postgres's clock decides when a lease ends. Here it is counted down on the monotonic clock from
//! before the renewal was sent, so what is left here is never more than what is left there; and no
//! call to Swarm is begun with less left than it may take.

use std::time::Duration;

use db::ledger::{Claim, LEASE};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::ledger::Ledger;
use crate::swarm::CALL;

/// How often it is renewed: three tries fit into a lease.
const RENEWAL: Duration = Duration::from_secs(3);

/// Dropped, it is not renewed any more.
pub(crate) struct Lease {
    left: Left,
    renewal: JoinHandle<()>,
}

/// What is left of a lease. Counts down to its end also after the lease was dropped.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    valid_until: watch::Receiver<Instant>,
}

impl Lease {
    /// Keeps a claim's lease. `claimed_at`: before the claim was sent.
    pub(crate) fn hold(ledger: impl Ledger, claim: Claim, claimed_at: Instant) -> Self {
        let (sender, left) = Left::until(claimed_at + LEASE);
        let renewal = tokio::spawn(renew(ledger, claim, sender));
        Self { left, renewal }
    }

    /// What is left of it.
    pub(crate) const fn left(&self) -> &Left {
        &self.left
    }
}

impl Left {
    /// Until then, and until whatever is sent later.
    pub(crate) fn until(valid_until: Instant) -> (watch::Sender<Instant>, Self) {
        let (sender, valid_until) = watch::channel(valid_until);
        (sender, Self { valid_until })
    }

    /// Whether a call to Swarm would end within the lease.
    pub(crate) fn allows_a_call(&self) -> bool {
        *self.valid_until.borrow() > Instant::now() + CALL
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

async fn renew(ledger: impl Ledger, claim: Claim, valid_until: watch::Sender<Instant>) {
    loop {
        sleep(RENEWAL).await;
        let asked_at = Instant::now();
        match ledger.renew(claim).await {
            Ok(true) => {
                valid_until.send_replace(asked_at + LEASE);
            }
            // A newer claim exists, or the deployment has ended.
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(
                    deployment = %claim.deployment,
                    error = error.chain(),
                    "a lease could not be renewed; it is tried again while it holds"
                );
            }
        }
    }
}
