//! An installation of the bench's own: a database, a queue prefix, a platform's name and a range of
//! subnets that nobody else uses; taken away again, and what a killed run left behind before it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use db::Database;
use db::bootstrap::{API, WORKER};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::answer::text;
use tests::broker::Broker;
use tests::docker::Engine;
use tests::environment::environment;
use tests::{Client, Tenant, sql};
use url::Url;

use crate::process::{Process, Program};

/// Where its networks are carved from: neither production's default nor the tests'.
const SUBNETS: &str = "10.96.0.0/16";

/// The organization that deploys.
const ORGANIZATION: &str = "bench";

/// The installation.
pub(crate) struct Installation {
    /// Its name in Swarm, and the prefix of its queues.
    pub(crate) name: String,
    database: String,
    directory: PathBuf,
    /// Held as long as it is there: two benchmarks at once would measure each other.
    _lock: File,
}

impl Installation {
    /// Makes it. `directory`: where logs and results go.
    pub(crate) async fn make(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("{} cannot be made", directory.display()))?;
        let directory = directory.canonicalize()?;
        let lock = File::create(directory.join("lock"))?;
        lock.try_lock().context("another bench runs in this checkout")?;
        // One name for each checkout: several may share a swarm.
        let hash = hex::encode(&Sha256::digest(directory.as_os_str().as_encoded_bytes())[..4]);
        let installation = Self {
            name: format!("bench-{hash}"),
            database: format!("skep_bench_{hash}"),
            directory,
            _lock: lock,
        };
        installation.clear().await?;
        installation.bootstrap().await?;
        Ok(installation)
    }

    /// Takes everything of it away.
    pub(crate) async fn clear(&self) -> Result<()> {
        let engine = Engine::connect()?;
        let info = engine.get("/info").await?;
        if info["Swarm"]["LocalNodeState"] == "active" {
            for service in engine.labelled("services", "bench.app").await? {
                let name = service["Spec"]["Name"].as_str().unwrap_or_default();
                if name.starts_with(&self.name) {
                    engine.delete(&format!("/services/{name}")).await?;
                }
            }
            engine.remove_platform(&self.name).await?;
        }
        Broker::connect().await?.delete_queues(&self.name).await?;
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database);
        sql::execute(&admin()?, &drop).await?;
        for file in [self.token_file(), self.log("api"), self.log("worker")] {
            if file.exists() {
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    }

    /// Roles, database, schema, settings and an operator's token, as an administrator makes them.
    async fn bootstrap(&self) -> Result<()> {
        let token_file = self.token_file();
        let token_file = token_file.to_str().context("the directory's name is no UTF-8")?;
        let bootstrapping = Program {
            name: "worker",
            arguments: &["bootstrap", "--operator-token-file", token_file],
            settings: &[
                ("SKEP_ADMIN_DATABASE_URL", &environment().admin_url),
                ("SKEP_DATABASE", &self.database),
                ("SKEP_PLATFORM", &self.name),
                ("SKEP_SUBNET_POOLS", SUBNETS),
                // As on a developer's machine: see dev.d/settings.sh.
                ("SKEP_ENDPOINT_MODE", "dnsrr"),
                ("SKEP_LOCAL_IMAGES", "allow"),
                ("SKEP_CPU_RESERVATION_RATIO", "0.05"),
            ],
            directory: &self.directory,
        };
        bootstrapping.start()?.finish().await
    }

    /// Starts an API; returns it with a client that holds the operator's token.
    pub(crate) fn api(&self) -> Result<(Process, Client)> {
        // Free a moment ago: good enough where nobody else starts servers by the dozen.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let program = Program {
            name: "api",
            arguments: &[],
            settings: &[
                ("DATABASE_URL", &self.url(API)?),
                ("AMQP_URL", &environment().amqp_url),
                ("SKEP_QUEUE_PREFIX", &self.name),
                ("SKEP_LISTEN", &address),
            ],
            directory: &self.directory,
        };
        let token = fs::read_to_string(self.token_file())?;
        let client = Client::new(&format!("http://{address}"), Some(token.trim()))?;
        Ok((program.start()?, client))
    }

    /// Starts a worker.
    pub(crate) fn worker(&self) -> Result<Process> {
        let program = Program {
            name: "worker",
            arguments: &["run"],
            settings: &[
                ("DATABASE_URL", &self.url(WORKER)?),
                ("AMQP_URL", &environment().amqp_url),
                ("SKEP_QUEUE_PREFIX", &self.name),
                ("DOCKER_HOST", &environment().docker_host),
            ],
            directory: &self.directory,
        };
        program.start()
    }

    /// The organization that deploys, with a client that holds its own token.
    pub(crate) async fn tenant(&self, operator: &Client) -> Result<Tenant> {
        let body = json!({ "slug": ORGANIZATION });
        let organization = operator.post("/v1/organizations", &body).await?.expect(201)?;
        let path = format!("/v1/organizations/{ORGANIZATION}/tokens");
        let made: Value = operator.post(&path, &json!({ "name": "bench" })).await?.expect(201)?;
        let token = text(&made, "/secret")?.to_owned();
        let client = operator.with_token(Some(&token));
        Ok(Tenant { client, slug: ORGANIZATION.to_owned(), organization, token })
    }

    fn token_file(&self) -> PathBuf {
        self.directory.join("operator-token")
    }

    fn log(&self, program: &str) -> PathBuf {
        self.directory.join(format!("{program}.log"))
    }

    /// Its database, as this role.
    fn url(&self, role: &str) -> Result<String> {
        let mut url = Url::parse(&environment().admin_url).context("SKEP_DEV_ADMIN_URL")?;
        let set = url.set_username(role).and_then(|()| url.set_password(None));
        set.map_err(|()| anyhow!("SKEP_DEV_ADMIN_URL names no host"))?;
        url.set_path(&self.database);
        Ok(url.into())
    }
}

/// A connection as the cluster's administrator.
pub(crate) fn admin() -> Result<Database> {
    Ok(Database::new(environment().admin_url.clone().into(), 1)?)
}
