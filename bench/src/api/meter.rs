//! CPU time by process, read from /proc: of the API, of every process of the Postgres cluster, of this
//! program, and of the whole machine. Nanoseconds on a CPU as the scheduler counts them, since ticks of
//! 10 ms are too coarse for a cluster of 20 processes.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use db::Database;
// `tests` alone would be this file's own.
use ::tests::sql;

use crate::process::on_cpu;

/// Linux counts the machine's CPU time in hundredths of a second on every platform.
const TICK: u64 = 10_000_000;

/// Whose time is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    api: u32,
    postmaster: u32,
}

/// The clocks at one moment.
pub(crate) struct Clocks {
    at: Instant,
    api: u64,
    own: u64,
    machine: u64,
    postgres: HashMap<u32, u64>,
}

/// What passed between two moments, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    /// On the wall.
    pub(crate) wall: f64,
    /// On a CPU: the API.
    pub(crate) api: f64,
    /// All of Postgres's processes.
    pub(crate) postgres: f64,
    /// This program: it makes the load.
    pub(crate) load: f64,
    /// Everybody.
    pub(crate) machine: f64,
}

impl Meter {
    /// Of this API, and of the Postgres cluster that has this database. Fails where that is on another
    /// machine.
    pub(crate) async fn new(api: u32, database: &Database) -> Result<Self> {
        let asked = sql::row(database, "SELECT pg_backend_pid() AS pid").await?;
        let backend = asked["pid"].as_u64().context("a process id is a number")?;
        let stat = fs::read_to_string(format!("/proc/{backend}/stat")).unwrap_or_default();
        let parent = parent_in(&stat).filter(|_| stat.contains("(postgres"));
        let postmaster =
            parent.context("Postgres does not run on this machine: its CPU cannot be read")?;
        let meter = Self { api, postmaster };
        ensure!(meter.read()?.own > 0, "this kernel does not count CPU time in /proc/…/schedstat");
        Ok(meter)
    }

    /// The clocks now.
    pub(crate) fn read(&self) -> Result<Clocks> {
        let mut postgres = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            // One that ends meanwhile is none.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if pid == self.postmaster || parent_in(&stat) == Some(self.postmaster) {
                postgres.insert(pid, on_cpu(&pid.to_string()));
            }
        }
        Ok(Clocks {
            at: Instant::now(),
            api: on_cpu(&self.api.to_string()),
            own: on_cpu("self"),
            machine: busy_in(&fs::read_to_string("/proc/stat")?)
                .context("/proc/stat tells no CPU")?,
            postgres,
        })
    }
}

impl Clocks {
    /// What has passed until `later`. Time of a backend that ended in between is lost.
    pub(crate) fn until(&self, later: &Self) -> Passed {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let backends = later.postgres.iter().map(|(pid, after)| {
            after.saturating_sub(self.postgres.get(pid).copied().unwrap_or_default())
        });
        Passed {
            wall: (later.at - self.at).as_secs_f64(),
            api: seconds(later.api.saturating_sub(self.api)),
            postgres: seconds(backends.sum()),
            load: seconds(later.own.saturating_sub(self.own)),
            machine: seconds(later.machine.saturating_sub(self.machine)),
        }
    }
}

/// The parent's id in /proc/…/stat. The program's name, in brackets, may hold anything.
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Nanoseconds that CPUs of the machine were busy: everything but idle and waiting for disks.
fn busy_in(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks = line.split_whitespace().take(8).map(str::parse::<u64>);
    let ticks: Vec<u64> = ticks.collect::<Result<_, _>>().ok()?;
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((ticks.iter().sum::<u64>() - idle) * TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        assert_eq!(parent_in("42 (a (b) c) S 7 42 42 0 -1"), Some(7));
        assert_eq!(parent_in(""), None);
        let stat = "cpu  10 1 5 900 50 0 2 0 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_in(stat), Some(18 * TICK));
        assert!(on_cpu("self") > 0);
    }
}
