//! The end of history: what is kept for a while, and no longer.

use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use model::{Error, Result};

use crate::failure;
use crate::pool::Database;

/// How long live health, drift that was resolved and isolation checks are kept.
const KEPT_FOR: &str = "interval '30 days'";

/// Takes away at most `limit` rows of each history whose time is over. Returns how many. A time that still
/// lasts is kept, however old it is.
pub async fn history_purge(database: &Database, limit: usize) -> Result<usize> {
    let limit = i64::try_from(limit).map_err(Error::internal)?;
    let mut connection = database.connection().await?;
    let mut purged = 0;
    for query in [
        format!(
            "DELETE FROM app_health WHERE ctid = ANY (ARRAY(
                 SELECT h.ctid FROM app_health h
                 WHERE h.created_at <= now() - {KEPT_FOR}
                   AND NOT EXISTS (
                       SELECT FROM app_status s WHERE s.app_id = h.app_id AND s.health_id = h.id)
                 ORDER BY h.created_at LIMIT $1))"
        ),
        format!(
            "DELETE FROM drift WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM drift WHERE resolved_at <= now() - {KEPT_FOR}
                 ORDER BY resolved_at LIMIT $1))"
        ),
        format!(
            "DELETE FROM isolation_checks WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM isolation_checks
                 WHERE created_at <= now() - {KEPT_FOR} AND status = 'ended'
                 ORDER BY created_at LIMIT $1))"
        ),
    ] {
        purged += diesel::sql_query(query)
            .bind::<BigInt, _>(limit)
            .execute(&mut connection)
            .await
            .map_err(failure::postgres)?;
    }
    Ok(purged)
}
