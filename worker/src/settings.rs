//! Settings: flags and environment variables, with their help. Nothing else reads the environment.

mod platform;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use platform::PlatformSettings;

/// Drives deployments on Docker Swarm, and sets an installation of Skep up.
#[derive(Parser)]
#[command(name = "worker", version)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Logging.
#[derive(Args)]
pub(crate) struct Log {
    /// Which log lines are written: a level, or tracing's filter syntax
    #[arg(long, env = "SKEP_LOG", default_value = "info", global = true,
        value_parser = directives)]
    log: String,
    /// How log lines are written (on standard error)
    #[arg(long, env = "SKEP_LOG_FORMAT", default_value = "json", global = true)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

/// bollard logs what it sends and is sent, from `debug` on: values of secrets, logins of registries.
const QUIET: &str = "bollard=info";

impl Log {
    fn filter(&self) -> EnvFilter {
        // The last word: whatever was asked for, this much of bollard and no more.
        EnvFilter::new(format!("{},{QUIET}", self.log))
    }

    pub(crate) fn start(&self) {
        let lines = tracing_subscriber::fmt()
            .with_env_filter(self.filter())
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Json => lines.json().init(),
            LogFormat::Text => lines.init(),
        }
    }
}

/// Checks the directives at once: a log that silently says nothing is found out too late.
fn directives(text: &str) -> Result<String, String> {
    if text.contains("bollard") {
        return Err("nothing about bollard: it would log the values of secrets".to_owned());
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Take deployments out of the queue and drive them on Swarm
    Run(Run),
    /// Bring the database's schema up to this version
    Migrate(Migrate),
    /// Make roles, database, schema, settings and the first operator token; safe to repeat
    Bootstrap(Box<Bootstrap>),
    /// The keys that tenants' values are sealed to
    #[command(subcommand)]
    Keyring(KeyringCommand),
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
}

#[derive(Subcommand)]
pub(crate) enum KeyringCommand {
    /// Show each key, whether it is in the file, and how many values are sealed to it
    List(KeyringList),
    /// Put a new key before those of the file; nothing is sealed to it before a rotation
    Add(KeyringAdd),
    /// Seal new values to the file's first key, and every old one anew, while everything serves; safe to repeat
    Rotate(KeyringRotate),
}

#[derive(Args)]
pub(crate) struct KeyringFile {
    /// The keyring
    #[arg(long, env = "SKEP_SEALING_KEYRING_FILE")]
    pub(crate) sealing_keyring_file: PathBuf,
}

#[derive(Args)]
pub(crate) struct KeyringList {
    #[command(flatten)]
    pub(crate) keyring: KeyringFile,
    /// Database URL, as the role skep_worker
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretString,
    /// One JSON object for each key, in the place of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct KeyringAdd {
    #[command(flatten)]
    pub(crate) keyring: KeyringFile,
}

#[derive(Args)]
pub(crate) struct KeyringRotate {
    #[command(flatten)]
    pub(crate) keyring: KeyringFile,
    /// Database URL, as the role skep_worker
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretString,
}

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Check every chain of the audit log, link by link; fails where one is broken
    Verify(Verify),
}

#[derive(Args)]
pub(crate) struct Verify {
    /// Database URL, as the role skep_worker or skep_owner
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretString,
    /// One JSON object for each chain, in the place of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Run {
    /// Database URL, as the role skep_worker; sslmode=verify-full for TLS, and sslrootcert=FILE for the
    /// certificates (PEM) to trust instead of the system's
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: SecretString,
    /// Most connections to the database
    #[arg(long, env = "SKEP_DATABASE_CONNECTIONS", default_value_t = 8,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub(crate) database_connections: usize,
    /// RabbitMQ URL; amqps:// for TLS, and cacertfile=FILE for the certificates (PEM) to trust instead of
    /// the system's
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    pub(crate) amqp_url: SecretString,
    /// What the names of the queues start with
    #[arg(long, env = "SKEP_QUEUE_PREFIX", default_value = "skep")]
    pub(crate) queue_prefix: String,
    /// The Docker daemon of a Swarm manager: a unix:// socket
    #[arg(long, env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock")]
    pub(crate) docker_host: String,
    /// The Docker daemons of the other nodes, unix:// sockets separated by commas: whatever Docker tells
    /// of containers and images on their own node only
    #[arg(long, env = "SKEP_HOSTS", value_delimiter = ',')]
    pub(crate) hosts: Vec<String>,
    /// Address that other nodes reach this one by, where a swarm is initialised; found by the
    /// daemon when left out
    #[arg(long, env = "DOCKER_SWARM_ADVERTISE_ADDR")]
    pub(crate) advertise_address: Option<String>,
    /// Address for Prometheus to read /metrics from, for nobody else to reach; left out, nothing is
    /// measured
    #[arg(long, env = "SKEP_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// The keyring that tenants' values are opened with, as the bootstrap made it
    #[arg(long, env = "SKEP_SEALING_KEYRING_FILE")]
    pub(crate) sealing_keyring_file: Option<PathBuf>,
    /// Program that makes logins for registries of short-lived credentials: JSON on standard input and output, see
    /// docs/registries.md
    #[arg(long, env = "SKEP_REGISTRY_REFRESH_COMMAND")]
    pub(crate) registry_refresh_command: Option<PathBuf>,
    /// Hours between two isolation checks of environments that are chosen by chance; 0: none but those that operators ask
    /// for
    #[arg(long, env = "SKEP_ISOLATION_CHECK_HOURS", default_value_t = 24,
        value_parser = clap::value_parser!(u32).range(0..=8760))]
    pub(crate) isolation_check_hours: u32,
    /// Seconds between two measurements of what apps have written to disk, by whichever worker is first; 0: none is made
    #[arg(long, env = "SKEP_DISK_INTERVAL", default_value_t = 600,
        value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub(crate) disk_interval: u32,
    /// Deployments driven at once
    #[arg(long, env = "SKEP_SLOTS", default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) slots: u16,
}

#[derive(Args)]
pub(crate) struct Migrate {
    /// Database URL, as the role skep_owner
    #[arg(long, env = "SKEP_OWNER_DATABASE_URL", hide_env_values = true)]
    pub(crate) owner_database_url: SecretString,
}

#[derive(Args)]
pub(crate) struct Bootstrap {
    /// URL of any database of the cluster, as a superuser
    #[arg(long, env = "SKEP_ADMIN_DATABASE_URL", hide_env_values = true)]
    pub(crate) admin_url: SecretString,
    /// Name of Skep's database, which is made where there is none
    #[arg(long, env = "SKEP_DATABASE", default_value = "skep")]
    pub(crate) database: String,
    /// Password of the role skep_owner; left out, the cluster's own authentication decides
    #[arg(long, env = "SKEP_OWNER_PASSWORD", hide_env_values = true)]
    pub(crate) owner_password: Option<SecretString>,
    /// Password of the role skep_api
    #[arg(long, env = "SKEP_API_PASSWORD", hide_env_values = true)]
    pub(crate) api_password: Option<SecretString>,
    /// Password of the role skep_worker
    #[arg(long, env = "SKEP_WORKER_PASSWORD", hide_env_values = true)]
    pub(crate) worker_password: Option<SecretString>,
    /// Write an operator token into this file (mode 0600) if the file is not there yet; without it
    /// the first one is printed, once
    #[arg(long)]
    pub(crate) operator_token_file: Option<PathBuf>,
    /// Make the keyring that tenants' values are opened with (mode 0600) if the file is not there yet, and have values
    /// sealed to its key. Every worker needs the file, nobody else may have it, and who loses it loses the values
    #[arg(long, env = "SKEP_SEALING_KEYRING_FILE")]
    pub(crate) sealing_keyring_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) platform: PlatformSettings,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Settings::command().debug_assert();
    }

    #[test]
    fn what_could_never_work_is_refused() {
        let run = ["worker", "run", "--database-url", "postgres://x", "--amqp-url", "amqp://x"];
        let refused = |more: [&'static str; 2]| {
            Settings::try_parse_from(run.into_iter().chain(more)).map(|_| ()).unwrap_err()
        };
        assert!(Settings::try_parse_from(run).is_ok());
        for more in [
            ["--slots", "0"],
            ["--database-connections", "0"],
            ["--log", "db=loud"],
            ["--log", "bollard::docker=trace"],
        ] {
            let told = refused(more).to_string();
            assert!(told.contains(more[0]), "{told}");
        }
    }

    #[test]
    fn deadlines_are_the_products_and_bounded() {
        let bootstrap = ["worker", "bootstrap", "--admin-url", "postgres://x"];
        let read = |more: &[&'static str]| {
            let read = Settings::try_parse_from(bootstrap.iter().chain(more)).ok()?;
            let Command::Bootstrap(bootstrap) = read.command else { return None };
            Some(bootstrap.platform.platform().deadlines())
        };
        let product = model::update_policy::Deadlines::default().frozen();
        assert_eq!(read(&[]), Some(product));
        let set = read(&["--deadline-pull", "30"]).unwrap();
        assert_eq!(set, model::update_policy::Deadlines { pull_seconds: 30, ..product });
        for bad in [
            ["--deadline-schedule", "9"],
            ["--deadline-pull", "3601"],
            ["--deadline-healthy", "4"],
            ["--deadline-progress", "59"],
        ] {
            assert_eq!(read(&bad), None, "{bad:?}");
        }
    }
}
