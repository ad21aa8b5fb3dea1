//! Gives the audit log's rows their places in the chains. Some seconds late, in batches: whoever accepts a
//! request does not wait for a hash.

use std::time::Duration;

use db::Database;
use db::audit::chain::audit_chain_extend;
use model::Result;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two looks for rows without a place.
const ROUND: Duration = Duration::from_secs(2);
/// Most rows of one transaction: some milliseconds of Postgres's time.
const BATCH: usize = 500;

/// Chains the audit log of this database.
pub struct AuditChain {
    /// Its database.
    pub database: Database,
}

impl AuditChain {
    /// Runs until `stop`. Of several workers, one at a time gets anywhere.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.round().await {
                    tracing::warn!(error = %error.chain(), "the audit log was not chained; again in a moment");
                }
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<()> {
        while audit_chain_extend(&self.database, BATCH as i64).await? == BATCH {}
        Ok(())
    }
}
