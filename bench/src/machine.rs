//! The machine and the versions that figures belong to.

use std::fs;

use anyhow::Result;
use serde::Serialize;
// `tests` alone would be this file's own.
use ::tests::docker::Engine;
use ::tests::sql;

use crate::installation::admin;

/// What was measured, on what.
#[derive(Debug, Serialize)]
pub(crate) struct Versions {
    /// The commit of the checkout, with `-dirty` where files were changed.
    pub(crate) commit: Option<String>,
    pub(crate) skep: &'static str,
    pub(crate) docker: Option<String>,
    pub(crate) docker_api: Option<String>,
    pub(crate) postgres: Option<String>,
    pub(crate) kernel: Option<String>,
}

/// The machine.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpus: usize,
    /// Load averages when it began.
    pub(crate) load_before: Option<String>,
    /// And before what loads it by itself: many apps at once.
    pub(crate) load_after: Option<String>,
}

impl Versions {
    /// Asks everyone.
    pub(crate) async fn read(engine: &Engine) -> Result<Self> {
        let docker = engine.client().version().await?;
        let query = "SELECT current_setting('server_version') AS version";
        let postgres = sql::row(&admin()?, query).await?;
        Ok(Self {
            commit: commit().await,
            skep: env!("CARGO_PKG_VERSION"),
            docker: docker.version,
            docker_api: docker.api_version,
            postgres: postgres["version"].as_str().map(str::to_owned),
            kernel: line("/proc/sys/kernel/osrelease"),
        })
    }
}

impl Machine {
    /// As it is now.
    pub(crate) fn read() -> Self {
        Self {
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            load_before: line("/proc/loadavg"),
            load_after: None,
        }
    }

    /// Once everything is measured that does not load it by itself.
    pub(crate) fn settle(&mut self) {
        self.load_after = line("/proc/loadavg");
    }

    /// For people: figures of a machine that did other work, too, tell little.
    pub(crate) fn text(&self) -> String {
        let load = |load: &Option<String>| load.as_deref().and_then(of_last_minute);
        let (before, after) = (load(&self.load_before), load(&self.load_after));
        let busy = before.into_iter().chain(after).any(|load| load > self.cpus as f64);
        let after = after.map(|load| format!(" and {load:.1} after the rounds of one app"));
        format!(
            "{} CPUs, load {:.1} before{}{}.",
            self.cpus,
            before.unwrap_or_default(),
            after.unwrap_or_default(),
            if busy { ": a BUSY machine, measure again when it is quiet" } else { "" }
        )
    }
}

/// A result without it is still a result: a copy of the sources may have no git.
async fn commit() -> Option<String> {
    let described = tokio::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(described.stdout).ok()?.trim().to_owned();
    (described.status.success() && !text.is_empty()).then_some(text)
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The first figure of /proc/loadavg.
fn of_last_minute(load: &str) -> Option<f64> {
    load.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_told() {
        let machine = |before: &str| Machine {
            cpus: 2,
            load_before: Some(before.to_owned()),
            load_after: Some("1.00 1.00 1.00 1/100 1".to_owned()),
        };
        assert_eq!(
            machine("0.50 1 1 1/9 1").text(),
            "2 CPUs, load 0.5 before and 1.0 after the rounds of one app."
        );
        assert!(machine("9.10 1 1 1/9 1").text().contains("BUSY"));
    }
}
