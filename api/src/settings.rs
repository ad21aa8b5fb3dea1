//! The settings of an API process: flags and environment, explained by `api --help`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use crate::middleware::origin;
use crate::tls::Files;

/// The API of Skep. Needs Postgres to start; a broker that is down only delays deployments.
#[derive(Debug, Clone, Parser)]
#[command(name = "api", version)]
pub struct Settings {
    /// Postgres, as the role skep_api: postgres://skep_api@host:port/database. With sslmode=verify-full or
    /// sslmode=require, which is the same here, over TLS and not at all in clear text; sslrootcert=FILE
    /// names the certificates (PEM) to trust, instead of the system's.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,

    /// RabbitMQ: amqp://user:password@host:port/vhost; amqps:// over TLS, with cacertfile=FILE for the
    /// certificates (PEM) to trust, instead of the system's.
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    pub amqp_url: SecretString,

    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "SKEP_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Certificate to serve TLS 1.3 with, and those that lead to its root: a PEM file, read again at SIGHUP.
    /// Left out, it serves in clear text.
    #[arg(long, env = "SKEP_TLS_CERTIFICATE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,

    /// The certificate's private key, a PEM file.
    #[arg(long, env = "SKEP_TLS_KEY", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,

    /// Address for Prometheus to read /metrics from, for nobody else to reach. Left out, nothing is measured.
    #[arg(long, env = "SKEP_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,

    /// Origins whose pages may call from a browser, separated by commas: `https://console.example.org`. Left
    /// out, none may.
    #[arg(long, env = "SKEP_CORS_ORIGINS", value_delimiter = ',', value_parser = origin)]
    pub cors_origins: Vec<String>,

    /// What the names of this installation's exchanges and queues start with; the worker needs the
    /// same.
    #[arg(long, env = "SKEP_QUEUE_PREFIX", default_value = "skep")]
    pub queue_prefix: String,

    /// Most connections to Postgres, besides the one that listens for changes. More of them than Postgres
    /// has processors to serve make the slowest requests slower (docs/performance.md).
    #[arg(long, env = "SKEP_DATABASE_CONNECTIONS", default_value_t = 8,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub database_connections: usize,

    /// Most requests worked on at once; what comes beyond is answered 503. Four times as many may
    /// wait for a deployment.
    #[arg(long, env = "SKEP_MAX_IN_FLIGHT", default_value_t = 512,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub max_in_flight: usize,

    /// Most connections of clients at once; what comes beyond waits to be accepted.
    #[arg(long, env = "SKEP_MAX_CONNECTIONS", default_value_t = 4096,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub max_connections: usize,

    /// Seconds that a client may take for the head of a request, for its body, or over the next piece of
    /// its answer; and that its connection may rest.
    #[arg(long, env = "SKEP_CLIENT_TIMEOUT", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=300))]
    pub client_timeout: u64,

    /// Requests a minute that are taken of one address without a valid token: logins, invitations, and what is refused.
    /// Behind a proxy all of them come from its address.
    #[arg(long, env = "SKEP_ANONYMOUS_RATE", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub anonymous_rate: u32,

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

impl Settings {
    /// The files of TLS, where it is asked for.
    pub(crate) fn tls(&self) -> Option<Files> {
        let (certificate, key) = (self.tls_certificate.clone()?, self.tls_key.clone()?);
        Some(Files { certificate, key })
    }
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
