//! One test's installation of Skep: database, queues, API, and workers where the test asks for them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use db::bootstrap::{bootstrap_operator_token, bootstrap_settings};
use db::ledger::ledger_unfinished;
use model::drift::OnDrift;
use model::environment::PRODUCTION;
use model::platform::Platform;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

use crate::answer::text;
use crate::api::{self, Api};
use crate::broker::Broker;
use crate::client::Client;
use crate::database::TestDatabase;
use crate::environment::environment;
use crate::keyring::Keyring;
use crate::mark::Mark;
use crate::process::{Process, ProcessSettings};
use crate::proxy::Proxy;
use crate::site::Site;
use crate::subnets::Subnets;
use crate::tenant::Tenant;
use crate::wait::wait_until;

/// How long what was accepted may take to end, once the story has been told.
const DRAIN: Duration = Duration::from_secs(90);

/// An installation.
pub struct Skep {
    /// Its database.
    pub database: TestDatabase,
    /// Asks its API with an operator's token.
    pub operator: Client,
    /// Between it and the broker.
    pub broker_proxy: Proxy,
    /// What its workers open values with.
    pub keyring: Keyring,
    mark: Mark,
    site: Site,
    subnets: Subnets,
    amqp_url: String,
    api: Mutex<Api>,
    workers: Mutex<Vec<Process>>,
    /// Whether a worker was ever started.
    driven: AtomicBool,
    may_leave_unfinished: AtomicBool,
}

impl Skep {
    /// Sets one up, with an API and without a worker.
    pub(crate) async fn start(site: Site) -> Result<Self> {
        let mark = Mark::new();
        let subnets = Subnets::take().await?;
        let database = TestDatabase::create(&mark).await?;
        let owner = database.owner_url()?.into();
        bootstrap_settings(&owner, &platform(&mark, &site), &[subnets.range()]).await?;
        let keyring = Keyring::make(&mark, &owner).await?;
        let token = bootstrap_operator_token(&owner, "test", true).await?.context("no token")?;
        let mut amqp_url = Url::parse(&environment().amqp_url)?;
        let host = amqp_url.host_str().context("AMQP_URL names no host")?;
        let broker_proxy =
            Proxy::start(format!("{host}:{}", amqp_url.port().unwrap_or(5672))).await?;
        amqp_url.set_host(Some("127.0.0.1"))?;
        let port_set = amqp_url.set_port(Some(broker_proxy.address().port()));
        port_set.map_err(|()| anyhow::anyhow!("AMQP_URL takes no port"))?;
        let amqp_url = amqp_url.to_string();
        let settings = api::settings(database.api_url()?, amqp_url.clone(), mark.to_string());
        let mut api = Api::start(settings).await?;
        let operator = Client::new(api.url(), Some(token.secret.expose_secret()))?;
        if let Err(error) = operator.get("/healthz").await {
            api.check().await?;
            return Err(error);
        }
        Ok(Self {
            database,
            operator,
            broker_proxy,
            keyring,
            mark,
            site,
            subnets,
            amqp_url,
            api: Mutex::new(api),
            workers: Mutex::default(),
            driven: AtomicBool::new(false),
            may_leave_unfinished: AtomicBool::new(false),
        })
    }

    /// The installation's name in Swarm.
    pub fn platform(&self) -> String {
        self.mark.to_string()
    }

    /// What the names of its queues start with.
    pub fn queue_prefix(&self) -> String {
        self.mark.to_string()
    }

    /// The range that its networks are carved from.
    pub const fn subnets(&self) -> ipnet::Ipv4Net {
        self.subnets.range()
    }

    /// The settings of an API process of this installation, for a second one or another one.
    pub fn api_settings(&self) -> Result<::api::Settings> {
        Ok(api::settings(self.database.api_url()?, self.amqp_url.clone(), self.queue_prefix()))
    }

    /// Makes an organization and a token for it.
    pub async fn tenant(&self, slug: &str) -> Result<Tenant> {
        let body = json!({ "slug": slug });
        let organization = self.operator.post("/v1/organizations", &body).await?.expect(201)?;
        let path = format!("/v1/organizations/{slug}/tokens");
        let made = self.operator.post(&path, &json!({ "name": "test" })).await?.expect(201)?;
        let token = text(&made, "/secret")?.to_owned();
        let client = self.operator.with_token(Some(&token));
        let environment = PRODUCTION.to_owned();
        Ok(Tenant { client, slug: slug.to_owned(), organization, token, environment })
    }

    /// Starts a worker, which reaches every node of its site.
    pub async fn start_worker(&self) -> Result<()> {
        self.start_worker_at(&self.site).await
    }

    /// Starts an API process beside the one of the test's own; also where it listens.
    pub async fn start_api_process(&self) -> Result<(Process, String)> {
        Process::api(&self.process_settings(self.database.api_url()?)).await
    }

    /// The same, saying as much as this in its log.
    pub async fn start_api_process_saying(&self, log: &'static str) -> Result<(Process, String)> {
        let settings = self.process_settings(self.database.api_url()?);
        Process::api(&ProcessSettings { log, ..settings }).await
    }

    /// Starts a worker that says as much as this in its log.
    pub async fn start_worker_saying(&self, log: &'static str) -> Result<()> {
        self.driven.store(true, Ordering::Relaxed);
        let settings = self.process_settings(self.database.worker_url()?);
        let worker = Process::worker(&ProcessSettings { log, ..settings })?;
        self.workers.lock().await.push(worker);
        Ok(())
    }

    /// Starts a worker that measures disks every second.
    pub async fn start_worker_measuring_disks(&self) -> Result<()> {
        self.driven.store(true, Ordering::Relaxed);
        let settings = self.process_settings(self.database.worker_url()?);
        let worker = Process::worker(&ProcessSettings { disk_interval: 1, ..settings })?;
        self.workers.lock().await.push(worker);
        Ok(())
    }

    /// Starts a worker that reaches these daemons of other nodes too.
    pub async fn start_worker_with_hosts(&self, hosts: &[&str]) -> Result<()> {
        let hosts = hosts.iter().map(ToString::to_string).collect();
        self.start_worker_at(&Site { hosts, ..self.site.clone() }).await
    }

    /// Starts a worker that reaches the swarm by other daemons of it.
    pub async fn start_worker_at(&self, site: &Site) -> Result<()> {
        self.driven.store(true, Ordering::Relaxed);
        let worker = Process::worker(&ProcessSettings {
            docker_host: site.docker_host.clone(),
            hosts: site.hosts.clone(),
            ..self.process_settings(self.database.worker_url()?)
        })?;
        self.workers.lock().await.push(worker);
        Ok(())
    }

    fn process_settings(&self, database_url: String) -> ProcessSettings {
        ProcessSettings {
            database_url,
            amqp_url: self.amqp_url.clone(),
            queue_prefix: self.queue_prefix(),
            docker_host: self.site.docker_host.clone(),
            hosts: Vec::new(),
            keyring: self.keyring.file().to_owned(),
            disk_interval: 0,
            metrics: None,
            log: "info,orchestrator=debug",
        }
    }

    /// Starts an API process that tells metrics; also where it listens, and where it tells them.
    pub async fn start_measured_api(&self) -> Result<(Process, String, String)> {
        let address = free_address()?;
        let settings = self.process_settings(self.database.api_url()?);
        let (process, url) =
            Process::api(&ProcessSettings { metrics: Some(address), ..settings }).await?;
        Ok((process, url, format!("http://{address}")))
    }

    /// Starts a worker that tells metrics, and has no swarm to drive; also where it tells them.
    pub async fn start_measured_worker(&self) -> Result<(Process, String)> {
        let address = free_address()?;
        let process = Process::worker(&ProcessSettings {
            docker_host: "unix:///dev/null".to_owned(),
            metrics: Some(address),
            ..self.process_settings(self.database.worker_url()?)
        })?;
        wait_until("a worker that tells metrics", Duration::from_secs(20), async || {
            Ok(tokio::net::TcpStream::connect(address).await.is_ok())
        })
        .await?;
        Ok((process, format!("http://{address}")))
    }

    /// Its workers, in the order in which they were started.
    pub async fn workers(&self) -> MutexGuard<'_, Vec<Process>> {
        self.workers.lock().await
    }

    /// That deployments are left without a verdict is this test's point.
    pub fn may_leave_unfinished(&self) {
        self.may_leave_unfinished.store(true, Ordering::Relaxed);
    }

    /// Everything accepted gets its verdict from the production consumer, where one was at work.
    pub(crate) async fn drain(&self) -> Result<()> {
        if !self.driven.load(Ordering::Relaxed) || self.may_leave_unfinished.load(Ordering::Relaxed)
        {
            return Ok(());
        }
        self.broker_proxy.mend();
        if !self.workers.lock().await.iter_mut().any(Process::runs) {
            self.start_worker().await?;
        }
        wait_until("every deployment to end", DRAIN, async || {
            Ok(ledger_unfinished(self.database.owner()).await? == 0)
        })
        .await
    }

    /// What the workers said, newest last.
    pub(crate) async fn worker_logs(&self) -> Vec<String> {
        let workers = self.workers.lock().await;
        workers
            .iter()
            .enumerate()
            .flat_map(|(number, worker)| {
                let lines = worker.log();
                let skipped = lines.len().saturating_sub(400);
                lines.into_iter().skip(skipped).map(move |line| format!("worker {number}: {line}"))
            })
            .collect()
    }

    /// Takes everything of it away.
    pub(crate) async fn remove(self) -> Result<()> {
        for worker in self
            .workers
            .lock()
            .await
            .iter_mut()
            .filter_map(|worker| worker.runs().then_some(worker))
        {
            worker.kill().await?;
        }
        let stopped = self.api.into_inner().stop().await;
        if self.driven.load(Ordering::Relaxed) {
            self.site.engine()?.remove_platform(&self.mark.to_string()).await?;
        }
        Broker::delete_queues_of(&self.mark.to_string()).await?;
        self.database.drop().await?;
        stopped
    }
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Settings of a platform on the machines that tests run on.
fn platform(mark: &Mark, site: &Site) -> Platform {
    Platform {
        name: mark.to_string(),
        endpoint_mode: site.endpoint_mode,
        // The sample image stands in no registry.
        local_images: true,
        // Many small apps on a small machine.
        cpu_reservation_ratio: 0.05,
        memory_reservation_ratio: 0.5,
        tenants_on_managers: site.tenants_on_managers,
        network_mtu: None,
        deadline_schedule_seconds: 120,
        deadline_pull_seconds: 300,
        deadline_healthy_seconds: 60,
        deadline_progress_seconds: 600,
        on_drift: OnDrift::Repair,
        on_disk_full: model::disk::OnDiskFull::Warn,
        encryption: site.encryption,
    }
}
