//! SQL from outside of `db`: what tests set up that no function of ours does, and what they read to
//! check it.

use anyhow::{Context, Result, bail};
use db::Database;
use db::pool::Connection;
use diesel::sql_types::{Bool, Jsonb};
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use serde_json::Value;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

/// The rows of a SELECT, each as a JSON object.
pub async fn rows(database: &Database, select: &str) -> Result<Vec<Value>> {
    let mut connection = database.connection().await?;
    let query = format!("SELECT to_jsonb(found) AS row FROM ({select}) AS found");
    let rows: Vec<Row> =
        sql_query(query).load(&mut connection).await.with_context(|| select.to_owned())?;
    Ok(rows.into_iter().map(|found| found.row).collect())
}

/// The one row of a SELECT.
pub async fn row(database: &Database, select: &str) -> Result<Value> {
    match rows(database, select).await?.as_slice() {
        [one] => Ok(one.clone()),
        rows => bail!("{} rows instead of one: {select}", rows.len()),
    }
}

/// A `SELECT count(*) FROM {rest}`.
pub async fn count(database: &Database, rest: &str) -> Result<i64> {
    let found = row(database, &format!("SELECT count(*) AS rows FROM {rest}")).await?;
    found["rows"].as_i64().context("a count is a number")
}

/// Executes a statement; how many rows it touched.
pub async fn execute(database: &Database, statement: &str) -> Result<usize> {
    let mut connection = database.connection().await?;
    sql_query(statement).execute(&mut connection).await.with_context(|| statement.to_owned())
}

/// Executes scripts one after the other on one connection, each a transaction; they may take their time.
pub async fn scripts(database: &Database, scripts: &[&str]) -> Result<()> {
    let mut connection = database.connection().await?;
    without_limits(&mut connection).await?;
    for script in scripts {
        connection.batch_execute(script).await.with_context(|| (*script).to_owned())?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Takes an advisory lock for as long as the connection lives; false where somebody else has it.
pub async fn lock_try(connection: &mut Connection, class: i32, number: u32) -> Result<bool> {
    let query = format!("SELECT pg_try_advisory_lock({class}, {number}) AS taken");
    let found: Taken = sql_query(query).get_result(connection).await?;
    Ok(found.taken)
}

/// Takes production's time limits off a connection, for waits that are meant.
pub(crate) async fn without_limits(connection: &mut Connection) -> Result<()> {
    for limit in ["lock_timeout", "statement_timeout"] {
        sql_query(format!("SET {limit} = 0")).execute(connection).await?;
    }
    Ok(())
}

/// Waits for an advisory lock, however long; it is held as long as the connection lives.
pub async fn lock(connection: &mut Connection, key: i64) -> Result<()> {
    without_limits(connection).await?;
    sql_query(format!("SELECT pg_advisory_lock({key})")).execute(connection).await?;
    Ok(())
}
