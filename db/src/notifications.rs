//! Postgres's NOTIFY as a stream: which deployments changed. A hint, never data: whoever hears it
//! looks into the tables, and looks now and then even if nothing was heard.

use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures::{Stream, StreamExt};
use model::id::DeploymentId;
use model::{Error, Result};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::failure;
use crate::pool::Database;

/// A connection of its own that listens. Ends with an error when that connection is lost.
pub struct Listener {
    connection: AsyncPgConnection,
}

/// Starts to listen for deployments that change.
pub async fn listen(database: &Database) -> Result<Listener> {
    let mut connection = AsyncPgConnection::establish(database.url().expose_secret())
        .await
        .map_err(|error| Error::unavailable("the database", error))?;
    diesel::sql_query("LISTEN skep_deployments")
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    Ok(Listener { connection })
}

impl Listener {
    /// The deployments that change, as they do.
    pub fn changes(&mut self) -> impl Stream<Item = Result<DeploymentId>> + Send {
        self.connection.notifications_stream().map(|notification| {
            let notification = notification.map_err(failure::postgres)?;
            let id: Uuid = notification.payload.parse().map_err(Error::internal)?;
            Ok(DeploymentId::from(id))
        })
    }
}
