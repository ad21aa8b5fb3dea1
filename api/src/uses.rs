//! When tokens were used last: gathered, and written down once a second at most. A stamp is for people: no
//! request waits for it, and one that is lost with its process is made up for by the next use.

use std::collections::HashSet;
use std::time::Duration;

use db::Database;
use db::credentials::credentials_used;
use model::id::TokenId;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(1);
/// Most uses between them. One more is told at the token's next look-up.
const MOST: usize = 10_000;

/// Tells of uses.
#[derive(Clone)]
pub(crate) struct Uses(Sender<TokenId>);

impl Uses {
    /// Starts to write them down, on a task of its own that ends with `shutdown`.
    pub(crate) fn start(database: Database, shutdown: CancellationToken) -> Self {
        let (sender, told) = channel(MOST);
        tokio::spawn(write(database, told, shutdown));
        Self(sender)
    }

    /// This token is used now.
    pub(crate) fn tell(&self, token: TokenId) {
        // Of too many, and of those in a process that ends, one is told of at its next use.
        let _ = self.0.try_send(token);
    }
}

async fn write(database: Database, mut told: Receiver<TokenId>, shutdown: CancellationToken) {
    let mut tokens = Vec::new();
    while told.recv_many(&mut tokens, MOST).await > 0 {
        let once: HashSet<TokenId> = tokens.drain(..).collect();
        let once: Vec<TokenId> = once.into_iter().collect();
        if let Err(error) = credentials_used(&database, &once).await {
            let tokens = once.len();
            tracing::warn!(tokens, error = %error.chain(), "uses of tokens were not stamped");
        }
        if shutdown.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            told.close();
        }
    }
}
