//! An installation of the bench's own: a database, a queue prefix, a platform's name and a range of
//! subnets that nobody else uses; taken away again, and what a killed run left behind before it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use db::Database;
use db::bootstrap::{API, OWNER, WORKER};
use model::environment::PRODUCTION;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::answer::text;
use tests::broker::Broker;
use tests::docker::Engine;
use tests::environment::environment;
use tests::{Client, Tenant, sql};
use url::Url;

use crate::process::{Process, Program};

/// The rates of its plans.
const ONE_MILLION_A_MINUTE: &str = "UPDATE plans SET
    rates = '{\"general\": 1000000, \"operations\": 1000000, \"aggregations\": 1000000}'";
/// Where its networks are carved from: neither production's default nor the tests'.
const SUBNETS: &str = "10.96.0.0/16";

/// The installation.
pub(crate) struct Installation {
    /// Its name in Swarm, and the prefix of its queues.
    pub(crate) name: String,
    database: String,
    pub(crate) directory: PathBuf,
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
        installation.forget_logs()?;
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
        if self.token_file().exists() {
            fs::remove_file(self.token_file())?;
        }
        Ok(())
    }

    /// Never after a run that failed: they say why.
    pub(crate) fn forget_logs(&self) -> Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "log") {
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
            log: "bootstrap",
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
        bootstrapping.start()?.finish().await?;
        // Counted as everybody's requests are, and never too many.
        sql::execute(&Database::new(self.url(OWNER)?.into(), 1)?, ONE_MILLION_A_MINUTE).await?;
        Ok(())
    }

    /// Starts an API; returns it with a client that holds the operator's token.
    pub(crate) fn api(&self) -> Result<(Process, Client)> {
        self.api_at(&self.url(API)?)
    }

    /// The same, which finds its database at this URL.
    pub(crate) fn api_at(&self, database_url: &str) -> Result<(Process, Client)> {
        // Free a moment ago: good enough where nobody else starts servers by the dozen.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let program = Program {
            name: "api",
            log: "api",
            arguments: &[],
            settings: &[
                ("DATABASE_URL", database_url),
                ("AMQP_URL", &environment().amqp_url),
                ("SKEP_QUEUE_PREFIX", &self.name),
                ("SKEP_LISTEN", &address),
                ("SKEP_ANONYMOUS_RATE", "1000000"),
            ],
            directory: &self.directory,
        };
        let token = fs::read_to_string(self.token_file())?;
        let client = Client::new(&format!("http://{address}"), Some(token.trim()))?;
        Ok((program.start()?, client))
    }

    /// Starts a worker with the settings that it has where nobody sets any.
    pub(crate) fn worker(&self) -> Result<Process> {
        self.start_worker("worker", &["run"])
    }

    /// Starts a worker that drives so many deployments at once.
    pub(crate) fn worker_of(&self, slots: u32) -> Result<Process> {
        self.start_worker("worker", &["run", "--slots", &slots.to_string()])
    }

    /// Starts a worker beside others, with a log of its own.
    pub(crate) fn worker_beside(&self, number: u32) -> Result<Process> {
        self.start_worker(&format!("worker-{number}"), &["run"])
    }

    fn start_worker(&self, log: &str, arguments: &[&str]) -> Result<Process> {
        let program = Program {
            name: "worker",
            log,
            arguments,
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

    /// An organization that deploys, with a client that holds its own token.
    pub(crate) async fn tenant(operator: &Client, slug: &str) -> Result<Tenant> {
        let body = json!({ "slug": slug });
        let organization = operator.post("/v1/organizations", &body).await?.expect(201)?;
        let path = format!("/v1/organizations/{slug}/tokens");
        let made: Value = operator.post(&path, &json!({ "name": "bench" })).await?.expect(201)?;
        let token = text(&made, "/secret")?.to_owned();
        let client = operator.with_token(Some(&token));
        let environment = PRODUCTION.to_owned();
        Ok(Tenant { client, slug: slug.to_owned(), organization, token, environment })
    }

    fn token_file(&self) -> PathBuf {
        self.directory.join("operator-token")
    }

    /// Its database, as the worker's role: for what the API does not tell.
    pub(crate) fn database(&self) -> Result<Database> {
        Ok(Database::new(self.url(WORKER)?.into(), 1)?)
    }

    /// Its database, as the cluster's administrator.
    pub(crate) fn administrator(&self) -> Result<Database> {
        let mut url = Url::parse(&environment().admin_url).context("SKEP_DEV_ADMIN_URL")?;
        url.set_path(&self.database);
        Ok(Database::new(String::from(url).into(), 1)?)
    }

    /// Its database, as this role.
    pub(crate) fn url(&self, role: &str) -> Result<String> {
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
