//! Dead letters: messages that no worker could decode, kept for an operator to look at, to put back
//! once a worker understands them, or to throw away. Each conversation has a connection of its own:
//! what it has taken and not answered goes back when that closes, however it ends.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use model::error::chain;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::BrokerError;
use crate::consumer::ERROR_HEADER;
use crate::link::{Link, within};
use crate::topology::Topology;

/// Most letters of one conversation.
pub const MOST_LETTERS: u32 = 500;
/// Most bytes of a letter that are shown.
const MOST_BYTES: usize = 2_048;
/// After how long no further letter is begun with: whoever asked waits within a transaction.
const LONGEST: Duration = Duration::from_secs(4);

/// The dead letters of an installation.
#[derive(Clone)]
pub struct DeadLetters {
    url: SecretString,
    topology: Topology,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Why nobody could decode it.
    pub error: Option<String>,
    /// What it says, as far as it is text, and not beyond its first 2 KiB.
    pub payload: String,
    /// Whether there is more of it.
    pub truncated: bool,
    /// When it became one, to the second.
    pub since: Option<DateTime<Utc>>,
}

/// How many there are, and the oldest of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Letters {
    /// How many there are.
    pub count: u32,
    /// The oldest, oldest first.
    pub oldest: Vec<DeadLetter>,
}

impl DeadLetters {
    /// Those of the installation with this prefix.
    pub fn new(url: SecretString, queue_prefix: &str) -> Self {
        Self { url, topology: Topology::new(queue_prefix) }
    }

    /// Counts them and shows the oldest `most`. All stay where they are.
    pub async fn list(&self, most: u32) -> Result<Letters, BrokerError> {
        let (link, count) = self.open().await?;
        let mut oldest = Vec::new();
        let mut last = None;
        for _ in 0..most.min(MOST_LETTERS).min(count) {
            let Some(taken) = self.take(&link).await? else { break };
            oldest.push(DeadLetter::of(&taken));
            last = Some(taken);
        }
        if let Some(last) = last {
            // All that were taken go back, each to its place.
            let back = BasicNackOptions { multiple: true, requeue: true };
            within(async { Ok(last.delivery.acker.nack(back).await?) }).await?;
        }
        link.close().await?;
        Ok(Letters { count, oldest })
    }

    /// Puts the oldest `most` back among the wake-ups, for the workers to read again; returns how many.
    /// A letter leaves only when the broker has confirmed its copy: at worst there are two of it.
    pub async fn replay(&self, most: u32) -> Result<u32, BrokerError> {
        self.end(most, Fate::Replayed).await
    }

    /// Throws the oldest `most` away; returns how many.
    pub async fn discard(&self, most: u32) -> Result<u32, BrokerError> {
        self.end(most, Fate::Discarded).await
    }

    /// No more than there were at the beginning: one that is put back and dies again is not met twice.
    /// Fails only where nothing was done; what was done must be told, and audited.
    async fn end(&self, most: u32, fate: Fate) -> Result<u32, BrokerError> {
        let begun = Instant::now();
        let (link, count) = self.open().await?;
        let most = most.min(MOST_LETTERS).min(count);
        let mut ended = 0;
        while ended < most && begun.elapsed() < LONGEST {
            match within(self.end_next(&link, fate)).await {
                Ok(true) => ended += 1,
                Ok(false) => break,
                Err(error) if ended == 0 => return Err(error),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), ended, "the rest of the dead letters stays");
                    return Ok(ended);
                }
            }
        }
        if let Err(error) = link.close().await {
            tracing::debug!(error = %chain(&error), "after the last dead letter");
        }
        Ok(ended)
    }

    /// Ends the oldest one; false where there is none.
    async fn end_next(&self, link: &Link, fate: Fate) -> Result<bool, BrokerError> {
        let Some(taken) = self.take(link).await? else { return Ok(false) };
        if fate == Fate::Replayed {
            let queue = &self.topology.deployments;
            link.publish(queue, FieldTable::default(), &taken.delivery.data).await?;
        }
        taken.delivery.acker.ack(BasicAckOptions::default()).await?;
        Ok(true)
    }

    /// A connection, and how many letters there are.
    async fn open(&self) -> Result<(Link, u32), BrokerError> {
        within(async {
            let link = Link::open(&self.url, "skep dead letters").await?;
            self.topology.declare(&link.channel).await?;
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let dead = self.topology.dead.as_str().into();
            let found = link.channel.queue_declare(dead, passive, FieldTable::default()).await?;
            Ok((link, found.message_count()))
        })
        .await
    }

    async fn take(&self, link: &Link) -> Result<Option<BasicGetMessage>, BrokerError> {
        let dead = self.topology.dead.as_str().into();
        let found = link.channel.basic_get(dead, BasicGetOptions::default());
        within(async { Ok(found.await?) }).await
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Replayed,
    Discarded,
}

impl DeadLetter {
    fn of(message: &BasicGetMessage) -> Self {
        let properties = &message.delivery.properties;
        let headers = properties.headers().as_ref();
        let error = headers.and_then(|headers| headers.inner().get(ERROR_HEADER));
        let error = error.and_then(|value| match value {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        });
        let since = properties.timestamp().and_then(|seconds| i64::try_from(seconds).ok());
        let data = &message.delivery.data;
        let shown = &data[..data.len().min(MOST_BYTES)];
        Self {
            error,
            payload: String::from_utf8_lossy(shown).into_owned(),
            truncated: shown.len() < data.len(),
            since: since.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        }
    }
}
