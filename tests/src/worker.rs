//! A worker as a process of its own, so that it can be killed as a machine kills it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::environment::environment;

/// Log lines that are kept of a worker.
const KEPT_LINES: usize = 2_000;
/// How long a worker may take to hand over.
const HAND_OVER: Duration = Duration::from_secs(20);

/// A running `worker run`. Dropped, it is killed.
pub struct Worker {
    child: Child,
    log: Arc<Mutex<VecDeque<String>>>,
}

/// What a worker is started with.
pub struct WorkerSettings {
    /// Postgres, as skep_worker.
    pub database_url: String,
    /// RabbitMQ.
    pub amqp_url: String,
    /// Prefix of the queues.
    pub queue_prefix: String,
}

impl Worker {
    /// Starts one.
    pub fn start(settings: &WorkerSettings) -> Result<Self> {
        // Ends the worker with the thread that started it: it must not outlive a test that was
        // killed, and go on driving a swarm that others use.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program()?)
            .arg("run")
            .env_remove("DOCKER_SWARM_ADVERTISE_ADDR")
            .env("DATABASE_URL", &settings.database_url)
            .env("SKEP_DATABASE_CONNECTIONS", "5")
            .env("AMQP_URL", &settings.amqp_url)
            .env("SKEP_QUEUE_PREFIX", &settings.queue_prefix)
            .env("DOCKER_HOST", &environment().docker_host)
            .env("SKEP_LOG", "info,orchestrator=debug")
            .env("SKEP_LOG_FORMAT", "text")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("setpriv (util-linux) starts the worker; it could not be run")?;
        let log = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep_lines(stderr, Arc::clone(&log)));
        }
        Ok(Self { child, log })
    }

    /// Kills it as the kernel does when memory runs out: SIGKILL, no farewell.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("the worker could not be killed")
    }

    /// Asks it to stop (SIGTERM) and waits until it has handed over.
    pub async fn stop(&mut self) -> Result<()> {
        let id = self.child.id().context("the worker has ended before")?;
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::TERM)?;
        match timeout(HAND_OVER, self.child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => Ok(()),
            Ok(status) => bail!("the worker ended with {status:?}"),
            Err(_) => bail!("the worker did not stop within {} s", HAND_OVER.as_secs()),
        }
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

/// The worker's program: beside the directory of the test's own.
fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let built = test.parent().and_then(|deps| deps.parent()).context("a test has a directory")?;
    let program = built.join("worker");
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
