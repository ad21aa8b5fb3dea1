//! A connection to the broker with one channel, made within a time limit, whose publishes are
//! confirmed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use secrecy::SecretString;
use tokio::time::timeout;

use crate::{BrokerError, address};

/// How long connecting, declaring or publishing may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// AMQP's delivery mode for messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

/// AMQP's code for an end that is no failure.
const REPLY_SUCCESS: u16 = 200;

/// Dropped, it closes.
pub(crate) struct Link {
    /// Kept because a channel lives as long as its connection.
    connection: Connection,
    pub(crate) channel: Channel,
}

impl Link {
    pub(crate) async fn open(url: &SecretString, name: &str) -> Result<Self, BrokerError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let open = async {
            let connection = address::connect(url, properties).await?;
            let channel = connection.create_channel().await?;
            // Without it the broker confirms nothing and a lost message goes unnoticed.
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(Self { connection, channel })
        };
        within(open).await
    }

    /// Publishes a message that outlives a restart of the broker; done when the broker has
    /// confirmed that a queue holds it.
    pub(crate) async fn publish(
        &self,
        queue: &str,
        headers: FieldTable,
        payload: &[u8],
    ) -> Result<(), BrokerError> {
        let confirmation = self
            .channel
            .basic_publish(
                "".into(),
                queue.into(),
                BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() },
                payload,
                BasicProperties::default()
                    .with_delivery_mode(PERSISTENT)
                    .with_content_type("application/json".into())
                    .with_timestamp(now())
                    .with_headers(headers),
            )
            .await?
            .await?;
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err(BrokerError::Refused("no queue takes it")),
            Confirmation::Nack(_) => Err(BrokerError::Refused("it was rejected")),
            Confirmation::NotRequested => Err(BrokerError::Refused("confirms are off")),
        }
    }

    /// Another channel of the connection, whose publishes are not confirmed: for what is not waited for.
    pub(crate) async fn unconfirmed(&self) -> Result<Channel, BrokerError> {
        within(async { Ok(self.connection.create_channel().await?) }).await
    }

    /// Closes it, and waits until the broker has put back what was taken and not answered.
    pub(crate) async fn close(self) -> Result<(), BrokerError> {
        within(async { Ok(self.connection.close(REPLY_SUCCESS, "done".into()).await?) }).await
    }

    pub(crate) fn connected(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }
}

/// Seconds since 1970: AMQP's timestamps.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Bounds a conversation with the broker by [`PATIENCE`].
pub(crate) async fn within<T>(
    conversation: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    timeout(PATIENCE, conversation).await.unwrap_or(Err(BrokerError::TimedOut(PATIENCE)))
}
