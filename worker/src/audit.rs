//! `worker audit verify`: is the audit log as it was written?

use std::io::Write as _;

use anyhow::ensure;
use db::Database;
use db::audit::chain::{Verified, audit_chain_verify};
use serde_json::json;

use crate::settings::Verify;

/// Links that are read at once.
const PAGE: i64 = 1_000;

pub(crate) async fn verify(settings: Verify) -> anyhow::Result<()> {
    let database = Database::new(settings.database_url, 1)?;
    db::migrations::schema_check(&database).await?;
    let chains = audit_chain_verify(&database, PAGE).await?;
    let mut out = std::io::stdout().lock();
    if !settings.json {
        writeln!(out, "{:<40} {:>10}  {:<64}  state", "chain", "links", "hash of the last")?;
    }
    for chain in &chains {
        let line = if settings.json { as_json(chain) } else { as_row(chain) };
        writeln!(out, "{line}")?;
    }
    let broken = chains.iter().filter(|chain| chain.broken.is_some()).count();
    ensure!(
        broken == 0,
        "{broken} of {} chains of the audit log are broken: rows were changed by somebody who may do so in \
         Postgres; compare with a backup, and with the hashes that you keep elsewhere",
        chains.len()
    );
    Ok(())
}

/// Whose a chain is.
fn name(chain: &Verified) -> String {
    match &chain.slug {
        Some(slug) => slug.clone(),
        None if chain.chain.is_nil() => "(the platform)".into(),
        None => chain.chain.to_string(),
    }
}

fn as_row(chain: &Verified) -> String {
    let state = match &chain.broken {
        Some(broken) => format!("BROKEN at {}: {}", broken.number, broken.what),
        None => "whole".into(),
    };
    format!("{:<40} {:>10}  {}  {state}", name(chain), chain.links, hex::encode(chain.hash))
}

fn as_json(chain: &Verified) -> String {
    let broken = chain.broken.as_ref();
    json!({
        "chain": name(chain),
        "links": chain.links,
        "hash": hex::encode(chain.hash),
        "broken_at": broken.map(|broken| broken.number),
        "broken": broken.map(|broken| broken.what),
    })
    .to_string()
}
