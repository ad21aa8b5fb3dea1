//! What workers saw of the swarm as a whole.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::RunQueryDsl;
use model::Result;
use model::policy::access::Action;
use model::schema::swarm_seen;

use crate::failure;
use crate::pool::Database;
use crate::scope::OperatorScope;

/// So many nodes are in the swarm. For workers.
pub async fn swarm_seen_write(database: &Database, nodes: i32) -> Result<()> {
    let mut connection = database.connection().await?;
    diesel::sql_query(
        "INSERT INTO swarm_seen (nodes) VALUES ($1)
         ON CONFLICT (id) DO UPDATE SET nodes = EXCLUDED.nodes, seen_at = now()",
    )
    .bind::<Integer, _>(nodes)
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(())
}

/// How many nodes there were, and when that was; `None`: no worker has looked yet.
pub async fn swarm_seen_get(
    database: &Database,
    operator: OperatorScope,
) -> Result<Option<(i32, DateTime<Utc>)>> {
    operator.require(Action::PlatformRead)?;
    let mut connection = database.platform(operator).await?;
    swarm_seen::table
        .select((swarm_seen::nodes, swarm_seen::seen_at))
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)
}
