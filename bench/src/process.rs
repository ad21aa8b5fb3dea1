//! API and worker as processes of their own: started from this program's directory with settings
//! of ours only, measured through /proc, asked to stop or killed.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long a process may take to stop.
const STOP: Duration = Duration::from_secs(40);
/// How long a worker may take to begin.
const DRIVING: Duration = Duration::from_secs(30);
/// Between two looks into its log.
const LOOK: Duration = Duration::from_millis(10);

/// A running process. Dropped, it is killed.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    /// When it was started.
    pub(crate) started: Instant,
    log: PathBuf,
    /// How long its log was before it was started.
    told: u64,
}

/// A program of this build, with its settings.
pub(crate) struct Program<'a> {
    pub(crate) name: &'static str,
    /// Name of its log.
    pub(crate) log: &'a str,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) settings: &'a [(&'a str, &'a str)],
    /// Directory of its log.
    pub(crate) directory: &'a Path,
}

impl Program<'_> {
    /// Starts it.
    pub(crate) fn start(&self) -> Result<Process> {
        let log = self.directory.join(format!("{}.log", self.log));
        let told = fs::metadata(&log).map_or(0, |found| found.len());
        let lines = File::options().create(true).append(true).open(&log);
        let lines = lines.with_context(|| format!("{} cannot be written", log.display()))?;
        let program = path(self.name)?;
        let started = Instant::now();
        // Ends with us, also when we are killed: a worker left alone would go on driving.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(self.arguments)
            // What the caller's shell has set is no business of what is measured.
            .env_clear()
            .envs(self.settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(lines.try_clone()?)
            .stderr(lines)
            .kill_on_drop(true)
            .spawn()
            .context("setpriv (util-linux) starts the programs; it could not be run")?;
        Ok(Process { name: self.name, child, started, log, told })
    }
}

impl Process {
    /// Fails where it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} has ended ({status}): see {}", self.name, self.log.display());
        }
        Ok(())
    }

    /// Its process id.
    pub(crate) fn id(&mut self) -> Result<u32> {
        self.check()?;
        self.child.id().with_context(|| format!("{} has ended", self.name))
    }

    /// Its resident memory in bytes (VmRSS).
    pub(crate) fn resident(&mut self) -> Result<u64> {
        let pid = self.id()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        resident_in(&status).with_context(|| format!("/proc/{pid}/status tells no VmRSS"))
    }

    /// Nanoseconds that it was on a CPU.
    pub(crate) fn on_cpu(&mut self) -> Result<u64> {
        Ok(on_cpu(&self.id()?.to_string()))
    }

    /// Waits for its end, which has to be a success.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let status = self.child.wait().await?;
        ensure!(status.success(), "{} ended with {status}: see {}", self.name, self.log.display());
        Ok(())
    }

    /// Kills it (SIGKILL): no farewell.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.check()?;
        self.child.kill().await.with_context(|| format!("{} could not be killed", self.name))
    }

    /// Waits until it says in its log that it drives deployments; in how many slots.
    pub(crate) async fn driving(&mut self) -> Result<u64> {
        let end = self.started + DRIVING;
        loop {
            if let Some(slots) = self.said()?.lines().find_map(slots_in) {
                return Ok(slots);
            }
            self.check()?;
            ensure!(
                Instant::now() < end,
                "{} does not drive: see {}",
                self.name,
                self.log.display()
            );
            sleep(LOOK).await;
        }
    }

    /// Whether its log tells of this.
    pub(crate) fn told_of(&self, what: &str) -> Result<bool> {
        Ok(self.said()?.contains(what))
    }

    /// What it has written into its log.
    fn said(&self) -> Result<String> {
        let mut log = File::open(&self.log)?;
        log.seek(SeekFrom::Start(self.told))?;
        let mut said = String::new();
        log.read_to_string(&mut said)?;
        Ok(said)
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.check()?;
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(pid.context("no process id")?, Signal::TERM)?;
        match timeout(STOP, self.finish()).await {
            Ok(ended) => ended,
            Err(_) => bail!("a process did not stop within {} s", STOP.as_secs()),
        }
    }
}

/// Nanoseconds that the threads of a process were on a CPU; 0 where it has ended.
pub(crate) fn on_cpu(process: &str) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    let of_thread = |thread: fs::DirEntry| {
        let told = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        told.split_whitespace().next()?.parse::<u64>().ok()
    };
    threads.filter_map(|thread| of_thread(thread.ok()?)).sum()
}

/// A program beside this one.
fn path(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.parent().context("a program has a directory")?.join(name);
    ensure!(found.exists(), "{} is not built: start me as ./dev bench", found.display());
    Ok(found)
}

/// What a worker says when it begins.
fn slots_in(line: &str) -> Option<u64> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    fields["slots"].as_u64().filter(|_| fields["message"] == "driving")
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_resident_memory() {
        let status = "Name:\tapi\nVmHWM:\t   20000 kB\nVmRSS:\t   10240 kB\nThreads:\t3\n";
        assert_eq!(resident_in(status), Some(10_485_760));
        assert_eq!(resident_in("Name:\tapi\n"), None);
    }

    #[test]
    fn knows_what_a_worker_says_when_it_begins() {
        let driving = r#"{"level":"INFO","fields":{"message":"driving","worker":"w","slots":16}}"#;
        assert_eq!(slots_in(driving), Some(16));
        assert_eq!(slots_in(r#"{"fields":{"message":"transition"}}"#), None);
        assert_eq!(slots_in(r#"{"fields":{"mess"#), None);
    }
}
