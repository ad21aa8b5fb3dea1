//! The outbox: wake-ups that were committed with the change they tell of, until the broker has
//! confirmed them.

use diesel::prelude::*;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};
use model::Result;
use model::id::DeploymentId;
use model::schema::outbox;

use crate::failure;
use crate::pool::{Connection, Database};
use crate::prepared::Prepared;

type Transactions = AnsiTransactionManager;

/// One wake-up to publish.
#[derive(Debug, Clone, Queryable)]
pub struct OutboxRow {
    /// Its place in the outbox.
    pub id: i64,
    /// The deployment that was queued.
    pub deployment: DeploymentId,
}

/// Wake-ups that this relay holds: no other relay reads them until the batch has ended. Dropped
/// without [`OutboxBatch::confirmed`], its rows stay for the next relay.
pub struct OutboxBatch {
    connection: Connection,
    rows: Vec<OutboxRow>,
}

/// Takes the oldest wake-ups that no other relay holds.
pub async fn outbox_take(database: &Database, limit: i64) -> Result<OutboxBatch> {
    let mut connection = database.connection().await?;
    let link: &mut AsyncPgConnection = &mut connection;
    Transactions::begin_transaction(link).await.map_err(failure::postgres)?;
    let rows = outbox::table
        .order(outbox::id)
        .select((outbox::id, outbox::deployment_id))
        .limit(limit)
        .for_update()
        .skip_locked()
        .load(link)
        .await
        .map_err(failure::postgres)?;
    Ok(OutboxBatch { connection, rows })
}

/// How many wake-ups the broker has not confirmed yet.
pub async fn outbox_length(database: &Database) -> Result<i64> {
    let mut connection = database.connection().await?;
    outbox::table.count().get_result(&mut connection).await.map_err(failure::postgres)
}

impl OutboxBatch {
    /// The wake-ups.
    pub fn rows(&self) -> &[OutboxRow] {
        &self.rows
    }

    /// Deletes those that the broker has confirmed, and lets go of the rest.
    pub async fn confirmed(mut self, ids: &[i64]) -> Result<()> {
        let link: &mut AsyncPgConnection = &mut self.connection;
        if !ids.is_empty() {
            // diesel takes it for a list of so many parameters; it is one array.
            Prepared(diesel::delete(outbox::table.filter(outbox::id.eq_any(ids))))
                .execute(link)
                .await
                .map_err(failure::postgres)?;
        }
        Transactions::commit_transaction(link).await.map_err(failure::postgres)
    }
}
