//! API and worker as processes of their own: started from this program's directory with settings
//! of ours only, measured through /proc, asked to stop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process may take to stop.
const STOP: Duration = Duration::from_secs(40);

/// A running process. Dropped, it is killed.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    /// When it was started.
    pub(crate) started: Instant,
    log: PathBuf,
}

/// A program of this build, with its settings.
pub(crate) struct Program<'a> {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) settings: &'a [(&'a str, &'a str)],
    /// Directory of its log.
    pub(crate) directory: &'a Path,
}

impl Program<'_> {
    /// Starts it.
    pub(crate) fn start(&self) -> Result<Process> {
        let log = self.directory.join(format!("{}.log", self.name));
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
        Ok(Process { name: self.name, child, started, log })
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

    /// Its resident memory in bytes (VmRSS).
    pub(crate) fn resident(&mut self) -> Result<u64> {
        self.check()?;
        let pid = self.child.id().with_context(|| format!("{} has ended", self.name))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        resident_in(&status).with_context(|| format!("/proc/{pid}/status tells no VmRSS"))
    }

    /// Waits for its end, which has to be a success.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let status = self.child.wait().await?;
        ensure!(status.success(), "{} ended with {status}: see {}", self.name, self.log.display());
        Ok(())
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

/// A program beside this one.
fn path(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.parent().context("a program has a directory")?.join(name);
    ensure!(found.exists(), "{} is not built: start me as ./dev bench", found.display());
    Ok(found)
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
}
