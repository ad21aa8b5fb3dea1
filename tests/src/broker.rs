//! RabbitMQ from outside: looking into a test's queues, and taking them away.

use anyhow::{Context, Result};
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::environment::environment;

/// A connection of its own, past any proxy.
pub struct Broker {
    /// A channel lives as long as its connection.
    _connection: Connection,
    channel: Channel,
}

/// The queue of an installation's wake-ups: part of what two versions of Skep agree on.
pub fn deployments_queue(prefix: &str) -> String {
    format!("{prefix}.deployments.v1")
}

/// The queue of what nobody could decode.
pub fn dead_queue(prefix: &str) -> String {
    format!("{prefix}.dead.v1")
}

impl Broker {
    /// Connects.
    pub async fn connect() -> Result<Self> {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&environment().amqp_url, properties)
            .await
            .context("RabbitMQ does not answer: run ./dev services")?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { _connection: connection, channel })
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

    /// Takes a message out of a queue, if there is one.
    pub async fn take(&self, queue: &str) -> Result<Option<Vec<u8>>> {
        let options = BasicGetOptions { no_ack: true };
        Ok(self.channel.basic_get(queue.into(), options).await?.map(|found| found.delivery.data))
    }

    /// Deletes the queues of an installation; those that are not there are fine.
    pub async fn delete_queues(&self, prefix: &str) -> Result<()> {
        for queue in [deployments_queue(prefix), dead_queue(prefix)] {
            self.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}
