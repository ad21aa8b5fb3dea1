//! Settings: flags and environment, explained by `demo --help`. `./dev demo` sets them all.

use clap::Parser;
use secrecy::SecretString;

/// Tells the story of Skep through its public API, and checks it against Docker and Postgres.
#[derive(Parser)]
#[command(name = "demo", version)]
pub(crate) struct Settings {
    /// The API
    #[arg(long, env = "SKEP_URL")]
    pub(crate) url: String,
    /// An operator's token
    #[arg(long, env = "SKEP_OPERATOR_TOKEN", hide_env_values = true)]
    pub(crate) operator_token: SecretString,
    /// The database of the API, to be read: as any role that may read all of it
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretString,
    /// The Docker daemon that the worker drives: a unix:// socket
    #[arg(long, env = "DOCKER_HOST")]
    pub(crate) docker_host: String,
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
