//! RabbitMQ from outside: looking into a test's queues, and taking them away.

use std::time::Duration;

use anyhow::{Context, Result};
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::time::{Instant, sleep};

use crate::environment::environment;

/// How long RabbitMQ may be away while it is restarted, and its queues find their leaders again.
const RESTART: Duration = Duration::from_secs(60);
/// Between two tries to reach it.
const BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// A connection of its own, past any proxy.
pub struct Broker {
    connection: Connection,
    channel: Channel,
}

/// The queue of an installation's wake-ups: part of what two versions of Skep agree on.
pub fn deployments_queue(prefix: &str) -> String {
    format!("{prefix}.deployments.v2")
}

/// The queue of what nobody could decode.
pub fn dead_queue(prefix: &str) -> String {
    format!("{prefix}.dead.v3")
}

impl Broker {
    /// Connects; waits for a RabbitMQ that another test has restarted.
    pub async fn connect() -> Result<Self> {
        let end = Instant::now() + RESTART;
        let connection = loop {
            let properties = ConnectionProperties::default();
            match Connection::connect(&environment().amqp_url, properties).await {
                Ok(connection) => break connection,
                Err(_) if Instant::now() < end => sleep(BETWEEN_TRIES).await,
                Err(error) => {
                    return Err(error).context("RabbitMQ does not answer: run ./dev services");
                }
            }
        };
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel })
    }

    /// Messages that wait in a queue.
    pub async fn depth(&self, queue: &str) -> Result<u32> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = self.channel.queue_declare(queue.into(), passive, FieldTable::default());
        Ok(found.await?.message_count())
    }

    /// Puts a message into a queue.
    pub async fn publish(&self, queue: &str, message: &[u8]) -> Result<()> {
        self.channel
            .basic_publish(
                "".into(),
                queue.into(),
                BasicPublishOptions::default(),
                message,
                BasicProperties::default(),
            )
            .await?
            .await?;
        Ok(())
    }

    /// Throws away what waits in a queue; how many messages that were.
    pub async fn purge(&self, queue: &str) -> Result<u32> {
        Ok(self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?)
    }

    /// Takes a message out of a queue, if there is one. A queue that the relay has not declared yet
    /// holds none; asking for it closes the channel, so each look has its own.
    pub async fn take(&self, queue: &str) -> Result<Option<Vec<u8>>> {
        let channel = self.connection.create_channel().await?;
        let options = BasicGetOptions { no_ack: true };
        match channel.basic_get(queue.into(), options).await {
            Ok(found) => Ok(found.map(|found| found.delivery.data)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the queues of an installation over a connection of its own, and starts over where
    /// another test has restarted RabbitMQ under it.
    pub async fn delete_queues_of(prefix: &str) -> Result<()> {
        let end = Instant::now() + RESTART;
        loop {
            let deleted = async { Self::connect().await?.delete_queues(prefix).await }.await;
            if deleted.is_ok() || Instant::now() >= end {
                return deleted;
            }
            sleep(BETWEEN_TRIES).await;
        }
    }

    /// Deletes the queues of an installation; those that are not there are fine.
    pub async fn delete_queues(&self, prefix: &str) -> Result<()> {
        for queue in [deployments_queue(prefix), dead_queue(prefix)] {
            self.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

fn is_missing(error: &lapin::Error) -> bool {
    let lapin::ErrorKind::ProtocolError(error) = error.kind() else { return false };
    error.kind() == &AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
}
