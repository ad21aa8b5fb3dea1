//! Settings: flags, explained by `bench --help`. Where the services are, the harness reads from what
//! `./dev bench` exports.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Deployments beside raw Docker API calls, starts of API and worker, resident memory
    Deploy(Deploy),
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

/// Settings of `deploy`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Deploy {
    /// Samples of each kind; medians are printed
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) samples: u32,
    /// Replicas of each app
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=20))]
    pub(crate) replicas: i32,
}

impl Default for Benchmark {
    fn default() -> Self {
        Self::Deploy(Deploy { samples: 7, replicas: 1 })
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
