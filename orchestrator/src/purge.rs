//! Takes away rows whose time is over, slowly: they take up space and have no effect any more, so
//! nothing may depend on when this comes by. It must not touch what tells an app's history.

use std::time::Duration;

use db::Database;
use db::history::history_purge;
use db::logins::login_failures_purge;
use db::requests::keys_purge;
use model::Result;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(600);
/// Most rows of one statement: a few milliseconds of Postgres's time.
const BATCH: usize = 1_000;
/// Between two batches of a round, so that a day's rows are not all asked of Postgres at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Purges this database.
pub struct Purge {
    /// Its database.
    pub database: Database,
}

impl Purge {
    /// Runs until `stop`: at once, so that a worker which is restarted often gets to it, and every
    /// ten minutes. Several workers at it do no harm.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.round().await {
                    tracing::warn!(error = %error.chain(), "nothing was purged; again in a while");
                }
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<()> {
        self.until_nothing_is_left("idempotency keys", async |db| keys_purge(db, BATCH).await)
            .await?;
        let failures = async |db: &Database| login_failures_purge(db, BATCH).await;
        self.until_nothing_is_left("counts of failed logins", failures).await?;
        self.until_nothing_is_left("history", async |db| history_purge(db, BATCH).await).await
    }

    /// A round of one kind of rows.
    async fn until_nothing_is_left(
        &self,
        what: &str,
        purge: impl AsyncFn(&Database) -> Result<usize>,
    ) -> Result<()> {
        let mut total = 0;
        loop {
            let purged = purge(&self.database).await?;
            total += purged;
            if purged == 0 {
                break;
            }
            sleep(PAUSE).await;
        }
        if total > 0 {
            tracing::info!(total, what, "purged");
        }
        Ok(())
    }
}
