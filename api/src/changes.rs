//! What changes, as Postgres notifies: deployments, for the requests that wait for them, and what
//! somebody may do, for the answers that are remembered. One listening connection for all. A hint only: whoever waits looks into the table now and then besides, because a lost
//! connection loses what was said meanwhile.

use std::time::Duration;

use db::Database;
use db::notifications::{Notice, listen};
use futures::StreamExt as _;
use model::id::DeploymentId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::authentication::Authentication;

/// Changes that a slow waiter may be behind before it is told to look anyway.
const BEHIND: usize = 256;
/// Pause before a lost connection is opened again: it doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Tells of deployments that change.
pub(crate) struct Changes(Sender<DeploymentId>);

/// Hears of deployments that change, from the moment it was made.
pub(crate) struct Hearing(Receiver<DeploymentId>);

impl Changes {
    /// Starts to listen, on a task of its own that ends with `shutdown`.
    pub(crate) fn start(
        database: Database,
        authentication: Authentication,
        shutdown: CancellationToken,
    ) -> Self {
        let (sender, _) = tokio::sync::broadcast::channel(BEHIND);
        let told = sender.clone();
        tokio::spawn(async move {
            shutdown.run_until_cancelled(tell(database, authentication, told)).await;
        });
        Self(sender)
    }

    /// Starts to hear. Do so before the first look, or a change in between is missed.
    pub(crate) fn hear(&self) -> Hearing {
        Hearing(self.0.subscribe())
    }
}

impl Hearing {
    /// Returns when this deployment may have changed.
    pub(crate) async fn changed(&mut self, id: DeploymentId) {
        loop {
            match self.0.recv().await {
                Ok(changed) if changed != id => {}
                // Told, or too far behind to know.
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                // The process ends; the waiter's own time limit ends its wait.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

async fn tell(database: Database, authentication: Authentication, told: Sender<DeploymentId>) {
    let (shortest, longest) = PAUSE;
    let mut pause = shortest;
    loop {
        let lost = match listen(&database).await {
            Ok(mut listener) => {
                pause = shortest;
                // What was said before this connection listened was missed.
                authentication.forget();
                let mut notices = Box::pin(listener.notices());
                loop {
                    match notices.next().await {
                        // Nobody may be hearing: that is no error.
                        Some(Ok(Notice::Deployment(id))) => _ = told.send(id),
                        Some(Ok(Notice::Credentials)) => authentication.forget(),
                        Some(Err(error)) => break error.chain(),
                        None => break "the connection ended".to_owned(),
                    }
                }
            }
            Err(error) => error.chain(),
        };
        tracing::warn!(error = %lost, ?pause, "lost the notifications of Postgres; listening again");
        sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}
