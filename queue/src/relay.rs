//! The outbox relay: publishes what was committed, and forgets it only when the broker has
//! confirmed. Every process that writes to the outbox runs one.
//!
//! It is woken inside the process, after the commit, and sweeps slowly besides: a process that died
//! between its commit and its publish is covered by everybody else's sweep. (Postgres's NOTIFY would
//! wake the others too, but it serialises commits, and accepts have to be many.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use db::Database;
use db::outbox::{OutboxBatch, OutboxRow, outbox_take};
use futures::future::try_join_all;
use lapin::types::FieldTable;
use model::envelope::Envelope;
use model::error::chain;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::BrokerError;
use crate::backoff::Backoff;
use crate::link::{Link, PATIENCE, within};
use crate::topology::Topology;

/// Most messages between two confirmations.
const BATCH: i64 = 200;
/// How often the outbox is looked into without having been told.
const SWEEP: Duration = Duration::from_secs(1);

/// Why the relay has to connect again: Postgres's error, or the broker's.
type Lost = Box<dyn std::error::Error + Send + Sync>;

/// The relay of a process.
pub struct Relay {
    database: Database,
    url: SecretString,
    topology: Topology,
    handle: RelayHandle,
}

/// Wakes the relay and tells whether it reaches the broker.
#[derive(Clone, Default)]
pub struct RelayHandle {
    wake: Arc<Notify>,
    connected: Arc<AtomicBool>,
    ended: CancellationToken,
}

impl RelayHandle {
    /// Something was committed to the outbox. Many calls while the relay works are one.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until the relay has ended, after its shutdown.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether the broker answered last time.
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}

impl Relay {
    /// Starts the relay on a task of its own; it ends with `shutdown`.
    pub fn start(
        database: Database,
        url: SecretString,
        queue_prefix: &str,
        shutdown: CancellationToken,
    ) -> RelayHandle {
        let handle = RelayHandle::default();
        let topology = Topology::new(queue_prefix);
        let relay = Self { database, url, topology, handle: handle.clone() };
        // Also of one that panics: whoever waits for its end must not wait for ever.
        let ended = handle.ended.clone().drop_guard();
        tokio::spawn(async move {
            relay.run(&shutdown).await;
            relay.last_drain().await;
            drop(ended);
        });
        handle
    }

    /// What was committed while stopping goes out, too; for as long as one conversation may take.
    async fn last_drain(&self) {
        let drain = async {
            let link = self.open().await?;
            self.drain(&link).await
        };
        match timeout(PATIENCE, drain).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %chain(&*error), "left for another relay"),
            Err(_) => tracing::warn!("the broker is slow: what is left is for another relay"),
        }
    }

    async fn run(&self, shutdown: &CancellationToken) {
        let mut backoff = Backoff::new();
        while let Err(lost) = self.relay(&mut backoff, shutdown).await {
            self.handle.connected.store(false, Ordering::Relaxed);
            let pause = backoff.pause();
            tracing::warn!(error = %chain(&*lost), ?pause, "the relay lost the broker; it connects again");
            if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Relays until something fails, or until `shutdown`: that is looked at between two batches, or what one of them
    /// holds would be locked for whoever is to send it.
    async fn relay(&self, backoff: &mut Backoff, shutdown: &CancellationToken) -> Result<(), Lost> {
        let link = self.open().await?;
        self.handle.connected.store(true, Ordering::Relaxed);
        loop {
            self.drain(&link).await?;
            // Only now: a broker that takes connections and no messages is not well.
            backoff.reset();
            if !link.connected() {
                return Err(BrokerError::Ended.into());
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.handle.wake.notified() => {}
                () = sleep(SWEEP) => {}
            }
        }
    }

    async fn open(&self) -> Result<Link, BrokerError> {
        let link = Link::open(&self.url, "skep relay").await?;
        within(self.topology.declare(&link.channel)).await?;
        Ok(link)
    }

    /// Publishes batch after batch until the outbox has no more than we could not take.
    async fn drain(&self, link: &Link) -> Result<(), Lost> {
        loop {
            let batch: OutboxBatch = outbox_take(&self.database, BATCH).await?;
            let ids: Vec<i64> = batch.rows().iter().map(|row| row.id).collect();
            let published =
                within(try_join_all(batch.rows().iter().map(|row| self.publish(link, row)))).await;
            if let Err(error) = published {
                // The rows are let go of at once: dropped, they would stay locked in the pool.
                batch.confirmed(&[]).await?;
                return Err(error.into());
            }
            batch.confirmed(&ids).await?;
            if ids.len() < BATCH as usize {
                return Ok(());
            }
        }
    }

    async fn publish(&self, link: &Link, row: &OutboxRow) -> Result<(), BrokerError> {
        let payload = serde_json::to_vec(&Envelope::new(row.deployment))
            .map_err(|_| BrokerError::Refused("its envelope could not be written"))?;
        link.publish(&self.topology.deployments, FieldTable::default(), &payload).await
    }
}
