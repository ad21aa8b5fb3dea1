//! The settings of an API process: flags and environment, explained by `api --help`.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

/// The API of Skep. Needs Postgres to start; a broker that is down only delays deployments.
#[derive(Debug, Clone, Parser)]
#[command(name = "api", version)]
pub struct Settings {
    /// Postgres, as the role skep_api: postgres://skep_api@host:port/database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,

    /// RabbitMQ: amqp://user:password@host:port/vhost.
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    pub amqp_url: SecretString,

    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "SKEP_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// What the names of this installation's exchanges and queues start with; the worker needs the
    /// same.
    #[arg(long, env = "SKEP_QUEUE_PREFIX", default_value = "skep")]
    pub queue_prefix: String,

    /// Most connections to Postgres, besides the one that listens for changes.
    #[arg(long, env = "SKEP_DATABASE_CONNECTIONS", default_value_t = 16,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub database_connections: usize,

    /// Most requests worked on at once; what comes beyond is answered 503. Four times as many may
    /// wait for a deployment.
    #[arg(long, env = "SKEP_MAX_IN_FLIGHT", default_value_t = 512,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub max_in_flight: usize,

    /// Hours after which a session ends, and a person has to log in again.
    #[arg(long, env = "SKEP_SESSION_HOURS", default_value_t = 12,
        value_parser = clap::value_parser!(i64).range(1..=720))]
    pub session_hours: i64,

    /// Most passwords that wait to be checked, one at a time; what comes beyond is answered 503.
    #[arg(long, env = "SKEP_LOGIN_QUEUE", default_value_t = 64,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub login_queue: usize,

    /// What is logged: a level, or directives such as info,db=debug.
    #[arg(long, env = "SKEP_LOG", default_value = "info", value_parser = directives)]
    pub log: String,

    /// How it is logged (on standard error).
    #[arg(long, env = "SKEP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Checks the directives at once: a log that silently says nothing is found out too late.
fn directives(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Settings::command().debug_assert();
    }
}
