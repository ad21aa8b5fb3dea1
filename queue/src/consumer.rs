//! The consumer: wake-ups out of the queue, one at a time, each to be answered.
//!
//! A wake-up is acknowledged after the claim that it led to is in Postgres, so a worker that dies
//! in between loses nothing. Only an envelope that cannot be decoded becomes a dead letter.

use std::time::Duration;

use futures::StreamExt;
use lapin::Acker;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use model::envelope::{ENVELOPE_VERSION, Envelope};
use model::error::chain;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::BrokerError;
use crate::backoff::Backoff;
use crate::link::{Link, within};
use crate::topology::Topology;

/// How long a message of a newer version is kept back before another worker may see it.
const NEWER_VERSION_PAUSE: Duration = Duration::from_secs(1);
/// The header of a dead letter that says why nobody could decode it.
pub(crate) const ERROR_HEADER: &str = "x-skep-error";

/// A wake-up that waits for its answer. Dropped without one, the broker delivers it again when this
/// consumer's connection ends.
pub struct Wakeup {
    /// What it says.
    pub envelope: Envelope,
    acker: Acker,
}

impl Wakeup {
    /// It led to what it could lead to.
    pub async fn done(self) {
        // A lost connection makes the broker deliver it again: a wake-up too many.
        if let Err(error) = self.acker.ack(BasicAckOptions::default()).await {
            tracing::debug!(error = %chain(&error), "a wake-up could not be acknowledged");
        }
    }
}

/// The receiving end.
pub struct Consumer {
    wakeups: mpsc::Receiver<Wakeup>,
}

impl Consumer {
    /// Starts to consume on a task of its own, at most `prefetch` unanswered wake-ups at a time;
    /// reconnects by itself; ends with `shutdown`.
    pub fn start(
        url: SecretString,
        queue_prefix: &str,
        prefetch: u16,
        shutdown: CancellationToken,
    ) -> Self {
        let (sender, wakeups) = mpsc::channel(usize::from(prefetch.max(1)));
        let topology = Topology::new(queue_prefix);
        tokio::spawn(async move {
            shutdown.run_until_cancelled(run(url, topology, prefetch, sender)).await;
        });
        Self { wakeups }
    }

    /// The next wake-up; `None` after shutdown.
    pub async fn next(&mut self) -> Option<Wakeup> {
        self.wakeups.recv().await
    }
}

async fn run(url: SecretString, topology: Topology, prefetch: u16, sender: mpsc::Sender<Wakeup>) {
    let mut backoff = Backoff::new();
    while !sender.is_closed() {
        let lost = consume(&url, &topology, prefetch, &sender, &mut backoff).await;
        if let Err(error) = lost {
            let pause = backoff.pause();
            tracing::warn!(error = %chain(&error), ?pause, "the consumer lost the broker; it connects again");
            sleep(pause).await;
        }
    }
}

/// Consumes until the connection fails or nobody listens any more.
async fn consume(
    url: &SecretString,
    topology: &Topology,
    prefetch: u16,
    sender: &mpsc::Sender<Wakeup>,
    backoff: &mut Backoff,
) -> Result<(), BrokerError> {
    let link = Link::open(url, "skep worker").await?;
    let mut deliveries = within(async {
        topology.declare(&link.channel).await?;
        link.channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let consumer = link
            .channel
            .basic_consume(
                topology.deployments.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(consumer)
    })
    .await?;
    backoff.reset();
    while let Some(delivery) = deliveries.next().await {
        let Some(wakeup) = read(&link, topology, delivery?).await? else { continue };
        if sender.send(wakeup).await.is_err() {
            return Ok(());
        }
    }
    Err(BrokerError::Ended)
}

#[derive(Deserialize)]
struct Version {
    version: u16,
}

/// Decodes a delivery; answers those that are not for us.
async fn read(
    link: &Link,
    topology: &Topology,
    delivery: Delivery,
) -> Result<Option<Wakeup>, BrokerError> {
    let version = serde_json::from_slice::<Version>(&delivery.data).map(|form| form.version);
    if version.as_ref().is_ok_and(|version| *version > ENVELOPE_VERSION) {
        // A newer worker of an upgrade in progress understands it.
        sleep(NEWER_VERSION_PAUSE).await;
        let back = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        delivery.acker.nack(back).await?;
        return Ok(None);
    }
    match serde_json::from_slice(&delivery.data) {
        Ok(envelope) => Ok(Some(Wakeup { envelope, acker: delivery.acker })),
        Err(error) => {
            tracing::error!(%error, "an undecodable message becomes a dead letter");
            let mut headers = FieldTable::default();
            let why = AMQPValue::LongString(error.to_string().into());
            headers.insert(ERROR_HEADER.into(), why);
            // Acknowledged after the letter is safe: at worst there are two of it.
            within(link.publish(&topology.dead, headers, &delivery.data)).await?;
            delivery.acker.ack(BasicAckOptions::default()).await?;
            Ok(None)
        }
    }
}
