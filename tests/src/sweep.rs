//! Sweeping: what runs that were killed left behind is taken away before the first test. Only what
//! carries a test's mark, and only when the process that made it is gone.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::answer::list;
use crate::broker::Broker;
use crate::database::{abandoned, admin, drop_of};
use crate::docker::Engine;
use crate::mark::Mark;
use crate::sql;
use crate::template;

/// Sweeps once in a process.
pub(crate) async fn sweep() -> Result<()> {
    sweep_swarm().await?;
    let admin = admin().await?;
    let marks = abandoned(&admin).await?;
    if !marks.is_empty() {
        let broker = Broker::connect().await?;
        for mark in marks {
            // The database last: while it is there, its queues are found by the next sweep.
            broker.delete_queues(&mark.to_string()).await?;
            drop_of(&admin, &mark).await?;
        }
    }
    sweep_templates(&admin).await
}

async fn sweep_swarm() -> Result<()> {
    let engine = Engine::connect()?;
    let info = engine.get("/info").await?;
    if info["Swarm"]["LocalNodeState"] != "active" {
        return Ok(());
    }
    let mut marks = BTreeSet::new();
    for objects in ["services", "configs", "networks"] {
        for found in engine.labelled(objects, "skep.platform").await? {
            let labels = [&found["Labels"], &found["Spec"]["Labels"]];
            let platform = labels.iter().find_map(|labels| labels["skep.platform"].as_str());
            marks.extend(platform.map(str::to_owned));
        }
    }
    for platform in marks {
        if platform.parse().is_ok_and(|mark: Mark| mark.is_left_over()) {
            engine.remove_platform(&platform).await?;
        }
    }
    Ok(())
}

/// Templates of other schemas, once nobody has made one for a day: a checkout beside this one may
/// be at work on another schema.
async fn sweep_templates(admin: &db::Database) -> Result<()> {
    let old = format!(
        "SELECT datname FROM pg_database WHERE datname LIKE '{}%' AND datname <> '{}' AND \
         (pg_stat_file('base/' || oid || '/PG_VERSION')).modification < now() - interval '1 day'",
        template::PREFIX.replace('_', "\\_"),
        template::name(),
    );
    for row in list(&sql::rows(admin, &old).await?.into(), "")? {
        if let Some(name) = row["datname"].as_str() {
            sql::execute(admin, &format!("ALTER DATABASE {name} IS_TEMPLATE false")).await?;
            sql::execute(admin, &format!("DROP DATABASE IF EXISTS {name}")).await?;
        }
    }
    Ok(())
}
