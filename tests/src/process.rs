//! Processes of Skep that are really processes, so that they can be killed as a machine kills them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::wait::wait_for;

/// Log lines that are kept of a process.
const KEPT_LINES: usize = 2_000;
/// What makes short-lived logins for the registry that asks who is there.
const REFRESH_COMMAND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/registry-refresh.sh");
/// How long a worker may take to hand over.
const HAND_OVER: Duration = Duration::from_secs(20);
/// How long an API may take to listen.
const LISTENING: Duration = Duration::from_secs(30);

/// A running process. Dropped, it is killed.
pub struct Process {
    child: Child,
    log: Arc<Mutex<VecDeque<String>>>,
}

/// What a process of an installation is started with.
pub struct ProcessSettings {
    /// Postgres, as the process's role.
    pub database_url: String,
    /// RabbitMQ.
    pub amqp_url: String,
    /// Prefix of the queues.
    pub queue_prefix: String,
    /// The dockerd of a worker.
    pub docker_host: String,
    /// Those of other nodes.
    pub hosts: Vec<String>,
    /// The keyring of a worker.
    pub keyring: PathBuf,
    /// What it says in its log.
    pub log: &'static str,
    /// Seconds between two measurements of disks by a worker; 0: none.
    pub disk_interval: u32,
    /// Where it tells metrics, where it does.
    pub metrics: Option<SocketAddr>,
}

impl Process {
    /// Starts `worker run`.
    pub fn worker(settings: &ProcessSettings) -> Result<Self> {
        Self::start("worker", settings, |command| {
            command
                .arg("run")
                .env_remove("DOCKER_SWARM_ADVERTISE_ADDR")
                .env("DOCKER_HOST", &settings.docker_host)
                .env("SKEP_SEALING_KEYRING_FILE", &settings.keyring)
                .env("SKEP_REGISTRY_REFRESH_COMMAND", REFRESH_COMMAND)
                // Those that a test asks for, and no others.
                .env("SKEP_ISOLATION_CHECK_HOURS", "0")
                .env("SKEP_DISK_INTERVAL", settings.disk_interval.to_string())
                .args(settings.hosts.iter().map(|host| format!("--hosts={host}")))
                .env("SKEP_LOG", settings.log);
        })
    }

    /// Starts `api` on a free port; also where it listens.
    pub async fn api(settings: &ProcessSettings) -> Result<(Self, String)> {
        let process = Self::start("api", settings, |command| {
            command
                .env_remove("DOCKER_HOST")
                .env("SKEP_LISTEN", "127.0.0.1:0")
                .env("SKEP_ANONYMOUS_RATE", "1000000")
                .env("SKEP_LOG", settings.log);
        })?;
        let url = wait_for("an API that listens", LISTENING, async || {
            let told = |line: String| {
                let (_, address) = line.split_once("address=")?;
                Some(format!("http://{}", address.split_whitespace().next()?))
            };
            Ok(process.log().into_iter().find_map(told))
        })
        .await?;
        Ok((process, url))
    }

    fn start(
        name: &str,
        settings: &ProcessSettings,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        // Ends the process with the thread that started it: it must not outlive a test that was
        // killed, and go on driving a swarm that others use.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(program(name)?)
            .env("DATABASE_URL", &settings.database_url)
            .env("SKEP_DATABASE_CONNECTIONS", "5")
            .env("AMQP_URL", &settings.amqp_url)
            .env("SKEP_QUEUE_PREFIX", &settings.queue_prefix)
            .env("SKEP_LOG_FORMAT", "text")
            .envs(settings.metrics.map(|address| ("SKEP_METRICS_LISTEN", address.to_string())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        configure(&mut command);
        let started = command.spawn();
        let mut child =
            started.with_context(|| format!("setpriv (util-linux) could not start the {name}"))?;
        let log = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep_lines(stderr, Arc::clone(&log)));
        }
        Ok(Self { child, log })
    }

    /// Kills it as the kernel does when memory runs out: SIGKILL, no farewell.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("it could not be killed")
    }

    /// Asks it to stop (SIGTERM) and waits until it has handed over.
    pub async fn stop(&mut self) -> Result<()> {
        let id = self.child.id().context("it has ended before")?;
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::TERM)?;
        match timeout(HAND_OVER, self.child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => Ok(()),
            Ok(status) => bail!("it ended with {status:?}"),
            Err(_) => bail!("it did not stop within {} s", HAND_OVER.as_secs()),
        }
    }

    /// Its process id; `None`: it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ends, within 20 s.
    pub async fn ended(&mut self) -> Result<std::process::ExitStatus> {
        Ok(timeout(HAND_OVER, self.child.wait()).await.context("it goes on")??)
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its last log lines.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// A program of ours: beside the directory of the test's own.
pub fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let built = test.parent().and_then(|deps| deps.parent()).context("a test has a directory")?;
    let program = built.join(name);
    anyhow::ensure!(program.exists(), "{} is not built: run ./dev test", program.display());
    Ok(program)
}

async fn keep_lines(stream: impl AsyncRead + Unpin, log: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == KEPT_LINES {
            log.pop_front();
        }
        log.push_back(line);
    }
}
