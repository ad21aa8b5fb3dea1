//! Settings: flags, explained by `bench --help`. Where the services are, the harness reads from what
//! `./dev bench` exports.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures Skep in this build's profile. Start it as ./dev bench.
#[derive(Parser)]
#[command(name = "bench", version)]
pub(crate) struct Settings {
    /// The development directory: results are written below its bench/
    #[arg(long, env = "SKEP_DEV_DIR", default_value = ".dev")]
    pub(crate) directory: PathBuf,
    #[command(subcommand)]
    pub(crate) benchmark: Option<Benchmark>,
}

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Benchmark {
    /// Deployments beside raw Docker API calls: one app, many at once, a worker that ends, a cancel;
    /// starts of API and worker, resident memory
    Deploy(Deploy),
    /// Reads while people log in, beside reads while nobody does
    Logins(Logins),
    /// Logs that many follow at once, a worker killed in the middle: what came of every line, latency, CPU and memory; and one that prints
    /// more than anybody is given
    Logs(Logs),
    /// The API under load at 1,000 organizations, 10,000 apps, 100,000 deployments: latency, CPU of API
    /// and Postgres, statements, resident memory; what the data's size and row security cost; accepts
    /// beside pgbench
    Api(Api),
    /// From an environment that is asked for to a task on its network, with few and with many networks beside it; how fast subnets
    /// are given out
    Networks(Networks),
    /// The seeded fault search at length; fails when a story breaks a promise
    Faults(Faults),
}

/// Settings of `faults`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Faults {
    /// How many stories
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) stories: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u64,
}

/// Settings of `networks`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Networks {
    /// How many networks there are beside the measured one, each more than the one before
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 500])]
    pub(crate) networks: Vec<usize>,
    /// Environments that are measured at each of these; medians are printed
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) samples: u32,
}

/// Settings of `logins`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Logins {
    /// People who log in at once, again and again
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) people: u32,
    /// Connections that read meanwhile
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) readers: u32,
    /// Seconds of each round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
}

/// Settings of `logs`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Logs {
    /// Who follow the log at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) followers: u32,
    /// Lines that the app prints each second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) lines: u32,
    /// For how long; half-way one of two workers is killed
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(20..=600))]
    pub(crate) seconds: u64,
    /// Lines a second, of a kilobyte each, of the app that prints too much, for half of the time
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) flood: u32,
}

/// Settings of `api`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Api {
    /// Organizations; ten apps for each, ten deployments for each app. Beside them ten, to compare with
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=5000))]
    pub(crate) organizations: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Rounds of what is compared in turns, accepts and pgbench a fourth of them; medians are printed
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// The program pgbench; without it accepts are compared with nothing
    #[arg(long, env = "SKEP_PGBENCH")]
    pub(crate) pgbench: Option<PathBuf>,
}

/// Settings of `deploy`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Deploy {
    /// Rounds of operations on one app, and of cancels, an even number; medians are printed
    #[arg(long, default_value_t = 2, value_parser = even)]
    pub(crate) samples: u32,
    /// Replicas of each app
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=20))]
    pub(crate) replicas: i32,
    /// Apps that are deployed at once
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) apps: u32,
    /// Update them at once, too: a minute more
    #[arg(long)]
    pub(crate) updates: bool,
    /// Workers that are killed, and as many that are stopped
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) ends: u32,
    /// Measure only this, and API and worker themselves; all of it when left out
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
}

/// So many rounds that each side is first in half of them: whoever is first in a network that no task is on waits
/// some half a second longer (seen in each of five rounds of creates).
fn even(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(rounds @ 2..=1000) if rounds % 2 == 0 => Ok(rounds),
        _ => Err("an even number from 2 to 1000".into()),
    }
}

/// A part of `deploy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Create, update, rollback, scale of one app, beside raw calls
    Operations,
    /// Many apps created at once, beside raw calls
    Crowd,
    /// A driving worker is killed or stopped, and another one goes on
    Recovery,
    /// An update is canceled while it goes on
    Cancel,
}

impl Deploy {
    /// Whether this part is measured.
    pub(crate) fn measures(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

impl Default for Benchmark {
    fn default() -> Self {
        Self::Deploy(Deploy {
            samples: 2,
            replicas: 1,
            apps: 20,
            updates: false,
            ends: 3,
            only: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Settings::command().debug_assert();
    }
}
