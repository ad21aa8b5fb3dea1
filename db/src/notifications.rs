//! Postgres's NOTIFY as a stream: which deployments changed, and that something about tokens did. A hint, never data: whoever hears it
//! looks into the tables, and looks now and then even if nothing was heard.

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures::{Stream, StreamExt};
use model::id::DeploymentId;
use model::{Error, Result};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::address;
use crate::failure;
use crate::pool::Database;

/// The channel of changes to what somebody may do.
const CREDENTIALS: &str = "skep_credentials";

/// A connection of its own that listens. Ends with an error when that connection is lost.
pub struct Listener {
    connection: AsyncPgConnection,
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// This deployment changed.
    Deployment(DeploymentId),
    /// Something changed about what somebody may do.
    Credentials,
}

/// Starts to listen.
pub async fn listen(database: &Database) -> Result<Listener> {
    let mut connection = address::connect(database.url().expose_secret())
        .await
        .map_err(|error| Error::unavailable("the database", error))?;
    let heard = format!("LISTEN skep_deployments; LISTEN {CREDENTIALS}");
    connection.batch_execute(&heard).await.map_err(failure::postgres)?;
    Ok(Listener { connection })
}

impl Listener {
    /// What is notified, as it is.
    pub fn notices(&mut self) -> impl Stream<Item = Result<Notice>> + Send {
        self.connection.notifications_stream().map(|notification| {
            let notification = notification.map_err(failure::postgres)?;
            if notification.channel == CREDENTIALS {
                return Ok(Notice::Credentials);
            }
            let id: Uuid = notification.payload.parse().map_err(Error::internal)?;
            Ok(Notice::Deployment(id.into()))
        })
    }
}
