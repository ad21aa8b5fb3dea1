//! A Postgres of a test's own that takes no connection in clear text.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;
use tokio::process::{Child, Command};

use crate::certificates::Authority;
use crate::wait::wait_until;

/// A running server. Dropped, it is killed.
pub struct EncryptedPostgres {
    _server: Child,
    directory: PathBuf,
    port: u16,
}

impl EncryptedPostgres {
    /// Starts one that shows a certificate of this authority, for the name `localhost`.
    pub async fn start(authority: &Authority) -> Result<Self> {
        let (certificate, key) = authority.issue()?;
        let directory = authority.directory().join("postgres");
        std::fs::create_dir(&directory)?;
        own(&directory).await?;
        let data = directory.join("data");
        let made = program("initdb")?
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .await?;
        ensure!(made.success(), "initdb: {made}");
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = data.join(to);
            std::fs::copy(from, &to)?;
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            own(&to).await?;
        }
        std::fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n")?;
        // Free a moment ago; nobody else here takes ports of this range by chance.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = program("postgres")?
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
                "-c",
                "ssl=on",
            ])
            .args(["-c", &format!("port={port}"), "-D"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let started = Self { _server: server, directory, port };
        let address = format!("127.0.0.1:{port}");
        wait_until("Postgres to listen", Duration::from_secs(30), async || {
            Ok(tokio::net::TcpStream::connect(&address).await.is_ok())
        })
        .await?;
        Ok(started)
    }

    /// Its URL, as this role with this database and these parameters.
    pub fn url(&self, role: &str, database: &str, parameters: &str) -> String {
        format!("postgres://{role}@localhost:{}/{database}?{parameters}", self.port)
    }
}

impl Drop for EncryptedPostgres {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A program of the newest Postgres, as a user that may run it, ended with the thread that started it.
fn program(name: &str) -> Result<Command> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")?
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|program| program.exists())
        .collect();
    versions.sort();
    let program = versions.pop().with_context(|| format!("no {name} under /usr/lib/postgresql"))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if geteuid().is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg(program).env_clear().env("LC_ALL", "C.UTF-8").current_dir("/");
    Ok(command)
}

/// Gives a file to the user that runs the server.
async fn own(path: &Path) -> Result<()> {
    if geteuid().is_root() {
        let owned = Command::new("chown").arg("postgres:postgres").arg(path).status().await?;
        ensure!(owned.success(), "chown: {owned}");
    }
    Ok(())
}
