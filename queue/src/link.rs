//! A connection to the broker with one channel, made within a time limit.

use std::time::Duration;

use lapin::{Channel, Connection, ConnectionProperties};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::BrokerError;

/// How long connecting, declaring or publishing may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

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
            let connection = Connection::connect(url.expose_secret(), properties).await?;
            let channel = connection.create_channel().await?;
            Ok(Self { connection, channel })
        };
        within(open).await
    }

    pub(crate) fn connected(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }
}

/// Bounds a conversation with the broker by [`PATIENCE`].
pub(crate) async fn within<T>(
    conversation: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    timeout(PATIENCE, conversation).await.unwrap_or(Err(BrokerError::TimedOut(PATIENCE)))
}
