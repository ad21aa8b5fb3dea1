//! Isolation checks: tasks of the platform's own on environments' networks, which really try to reach each other, each other's
//! names and their node. What they find is kept as evidence. Nothing of a tenant's is run or changed.

pub(crate) mod image;
mod plan;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::isolation_checks::{
    CheckedEnvironment, isolation_check_claim, isolation_check_end, isolation_check_environments,
    isolation_check_schedule, isolation_checks_over,
};
use ipnet::IpNet;
use model::error::chain;
use model::id::IsolationCheckId;
use model::isolation_check::{Finding, IsolationCheck, IsolationVerdict};
use model::names;
use model::platform::Platform;
use model::spec::{EndpointMode, RestartCondition};
use model::update_policy::{FailureAction, UpdateOrder};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::plan::{Listener, Neighbour, Prober, Targets, Told, attempts, findings, verdict};
use crate::network::ensure_network;
use crate::render;
use crate::swarm::docker::DockerSwarm;
use crate::swarm::{RolloutSpec, ServiceSpec, Swarm as _, TaskSpec, TaskState};

/// Between two looks for a check that waits.
const ROUND: Duration = Duration::from_secs(5);
/// Between two looks for what was left behind, and for whether a check is due.
const TEND: Duration = Duration::from_secs(60);
/// Between two looks at tasks.
const LOOK: Duration = Duration::from_millis(250);
/// How long listeners may take to listen, and probes to end: an image that is on its node starts in seconds, and a probe goes on
/// trying for 75 s where its own network is silent (`isolation-probe/src/attempt.rs`).
const PATIENCE: Duration = Duration::from_secs(110);
/// The longest that a check may take: less than it is this worker's.
const LONGEST: Duration = Duration::from_secs(240);
/// How often a check is begun, where workers die of it or meanwhile.
const MOST_TRIES: i32 = 3;
/// Nodes that are tried from: two show what crosses between them.
const NODES: usize = 2;
/// Nodes that are tried at their own addresses: as many as leave all findings of a probe within the lines that are read of its log.
const NEIGHBOURS: usize = 3;

/// Postgres's, the daemon's, or that something did not come in time.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs isolation checks.
pub struct IsolationChecks {
    /// Where they are asked for.
    pub database: Database,
    /// Where they run.
    pub swarm: Arc<DockerSwarm>,
    /// The installation's settings.
    pub platform: Arc<Platform>,
    /// How often one is made of its own accord; `None`: never.
    pub every: Option<Duration>,
}

/// A node that probes can run on.
struct Place {
    id: String,
    name: String,
}

impl IsolationChecks {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            let mut tended: Option<Instant> = None;
            loop {
                if tended.is_none_or(|at| at.elapsed() >= TEND) {
                    tended = Some(Instant::now());
                    if let Err(error) = self.tend().await {
                        tracing::warn!(
                            error = chain(&*error),
                            "probes may be left, or no check was asked for; tried again"
                        );
                    }
                }
                if let Err(error) = self.round().await {
                    tracing::warn!(
                        error = chain(&*error),
                        "isolation is not checked now; tried again"
                    );
                }
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// Takes away what a worker left behind when it died, and asks for a check where one is due.
    async fn tend(&self) -> Result<(), Failure> {
        self.clear(None).await?;
        if let Some(every) = self.every {
            isolation_check_schedule(&self.database, every).await?;
        }
        Ok(())
    }

    async fn round(&self) -> Result<(), Failure> {
        let Some(check) = isolation_check_claim(&self.database).await? else {
            return Ok(());
        };
        let outcome = if check.tries > MOST_TRIES {
            Err("the workers that ran them did not come back".into())
        } else {
            let in_time = timeout(LONGEST, self.check(&check)).await;
            in_time.unwrap_or_else(|_| Err("they took too long".into()))
        };
        let (verdict, sentence, findings) = outcome.unwrap_or_else(|error| {
            let sentence = format!("nothing is proven: the probes did not run: {}", chain(&*error));
            (IsolationVerdict::Inconclusive, sentence, Vec::new())
        });
        isolation_check_end(&self.database, &check, verdict, &sentence, &findings).await?;
        match verdict {
            IsolationVerdict::Isolated => tracing::info!(check = %check.id, sentence, "isolated"),
            IsolationVerdict::Breached => tracing::error!(check = %check.id, sentence, "BREACHED"),
            IsolationVerdict::Inconclusive => {
                tracing::warn!(check = %check.id, sentence, "inconclusive");
            }
        }
        self.clear(None).await
    }

    /// Takes away what probes of checks that are over left behind, and those of this check.
    async fn clear(&self, check: Option<IsolationCheckId>) -> Result<(), Failure> {
        let services =
            self.swarm.services_labelled(names::LABEL_CHECKS, &self.platform.name).await?;
        let of = |labels: &BTreeMap<String, String>| {
            labels.get(names::LABEL_CHECK)?.parse::<IsolationCheckId>().ok()
        };
        let checks: Vec<IsolationCheckId> =
            services.iter().filter_map(|(_, labels)| of(labels)).collect();
        let over = isolation_checks_over(&self.database, &checks).await?;
        for (name, labels) in &services {
            if of(labels).is_none_or(|one| Some(one) == check || over.contains(&one)) {
                self.swarm.service_remove(name).await?;
            }
        }
        Ok(())
    }

    async fn check(
        &self,
        check: &IsolationCheck,
    ) -> Result<(IsolationVerdict, String, Vec<Finding>), Failure> {
        let environments =
            isolation_check_environments(&self.database, &check.environments).await?;
        if environments.len() < check.environments.len() {
            return Err("not all of its environments are there any more".into());
        }
        // A worker that ran it before may have died.
        self.clear(Some(check.id)).await?;
        let image = image::image()?;
        let places = self.places(&image).await?;
        let mut networks = Vec::new();
        for environment in &environments {
            let network = &environment.network;
            networks.push(ensure_network(&*self.swarm, &self.platform.name, network).await?);
        }
        let services = Services { checks: self, check: check.id, image: &image.id };
        let mut listening = Vec::new();
        for (environment, (checked, network)) in environments.iter().zip(&networks).enumerate() {
            for (number, place) in places.iter().enumerate() {
                let name = services.name("l", environment, number);
                let neighbour = first_address(checked)?.to_string();
                let arguments = vec!["listen".to_owned(), neighbour];
                services.start(&name, network, place, arguments).await?;
                listening.push((environment, name));
            }
        }
        let mut listeners = Vec::new();
        for (environment, name) in listening {
            let address = services.address(&name).await?;
            let names = vec![name.clone(), format!("tasks.{name}"), alias(&name)];
            listeners.push(Listener { environment, address, names });
        }
        let targets = Targets { listeners, nodes: self.neighbours().await? };
        let mut probing = Vec::new();
        for (environment, network) in networks.iter().enumerate() {
            let plan = attempts(&targets, environment);
            for (number, place) in places.iter().enumerate() {
                let name = services.name("p", environment, number);
                let arguments = vec!["reach".to_owned(), serde_json::to_string(&plan)?];
                services.start(&name, network, place, arguments).await?;
                probing.push((Prober { environment, node: place.name.clone() }, name, plan.len()));
            }
        }
        let tried: Vec<String> =
            environments.iter().map(|environment| environment.name.clone()).collect();
        let mut found = Vec::new();
        for (prober, name, attempts) in probing {
            let told = services.told(&name, attempts).await?;
            found.extend(findings(&prober, &targets, &tried, &told));
        }
        let (verdict, sentence) = verdict(&found);
        Ok((verdict, sentence, found))
    }

    /// Nodes that are tried at their own addresses: managers first, whose ports matter most.
    async fn neighbours(&self) -> Result<Vec<Neighbour>, Failure> {
        let mut nodes = self.swarm.nodes().await?;
        nodes.sort_by_key(|node| !node.is_manager);
        let addressed = nodes
            .into_iter()
            .filter_map(|node| Some(Neighbour { name: node.name, address: node.address? }));
        Ok(addressed.take(NEIGHBOURS).collect())
    }

    /// Nodes that the probe's image is on.
    async fn places(&self, image: &image::Image) -> Result<Vec<Place>, Failure> {
        let available: Vec<String> = self
            .swarm
            .nodes()
            .await?
            .into_iter()
            .filter(|node| node.is_available)
            .map(|node| node.id)
            .collect();
        let mut places = Vec::new();
        for host in self.swarm.hosts() {
            let Some((id, name)) = host.node_and_name().await else { continue };
            if places.len() == NODES || !available.contains(&id) {
                continue;
            }
            // Another node will do: one with a full disk spoils no check.
            if let Err(error) = host.image_load(&image.id, &image.archive).await {
                tracing::warn!(node = name, %error, "no probe runs there: its image was not taken");
                continue;
            }
            places.push(Place { id, name });
        }
        if places.is_empty() {
            return Err(
                "none of the daemons that this worker reaches is of a node that takes tasks, and the probe's image".into(),
            );
        }
        Ok(places)
    }
}

/// An address on an environment's network: nobody has to have it.
fn first_address(environment: &CheckedEnvironment) -> Result<Ipv4Addr, Failure> {
    match environment.network.subnet {
        IpNet::V4(subnet) => Ok(subnet.hosts().next().unwrap_or(subnet.network())),
        IpNet::V6(_) => Err("a network of IPv6".into()),
    }
}

/// What a listener is called beside its service's name, as an app is by its slug.
fn alias(name: &str) -> String {
    format!("{name}.internal")
}

/// The services of one check.
struct Services<'a> {
    checks: &'a IsolationChecks,
    check: IsolationCheckId,
    image: &'a str,
}

impl Services<'_> {
    fn name(&self, role: &str, environment: usize, place: usize) -> String {
        let check = self.check.to_string();
        format!("skep-check-{}-{role}{environment}{place}", check.trim_start_matches("chk_"))
    }

    /// Starts one task that is not started again.
    async fn start(
        &self,
        name: &str,
        network: &str,
        place: &Place,
        arguments: Vec<String>,
    ) -> Result<(), Failure> {
        let labels = BTreeMap::from([
            (names::LABEL_CHECKS.to_owned(), self.checks.platform.name.clone()),
            (names::LABEL_CHECK.to_owned(), self.check.to_string()),
        ]);
        let task = TaskSpec {
            image: self.image.to_owned(),
            labels: labels.clone(),
            command: Some(vec![image::PATH.to_owned()]),
            args: Some(arguments),
            env: BTreeMap::new(),
            user: Some("65532:65532".into()),
            working_dir: None,
            stop_signal: "SIGKILL".into(),
            stop_grace_period: Duration::from_secs(1),
            health_check: None,
            read_only: true,
            init: false,
            tmpfs: Vec::new(),
            configs: Vec::new(),
            secrets: Vec::new(),
            cpu_limit_nanos: 500_000_000,
            cpu_reserved_nanos: 0,
            memory_limit_bytes: 64 << 20,
            memory_reserved_bytes: 0,
            pids_limit: 512,
            restart: RestartCondition::None,
            restart_delay: Duration::from_secs(5),
            constraints: vec![format!("node.id=={}", place.id)],
            network: network.to_owned(),
            aliases: vec![alias(name)],
        };
        let rollout = RolloutSpec {
            parallelism: 1,
            delay: Duration::ZERO,
            monitor: Duration::from_secs(5),
            max_failure_ratio: 0.0,
            order: UpdateOrder::StopFirst,
            failure_action: FailureAction::Pause,
        };
        let spec = ServiceSpec {
            name: name.to_owned(),
            labels,
            replicas: 1,
            spec_hash: render::hash(&task),
            task,
            restart_counter: 0,
            update: rollout.clone(),
            rollback: rollout,
            endpoint_mode: EndpointMode::Dnsrr,
            login: crate::swarm::Login::Nothing,
        };
        self.checks.swarm.service_create(&spec).await?;
        Ok(())
    }

    /// What a listener says that its address is.
    async fn address(&self, name: &str) -> Result<Ipv4Addr, Failure> {
        self.lines(name, "a listener", |lines| {
            lines.iter().find_map(|line| {
                let said: serde_json::Value = serde_json::from_str(line).ok()?;
                said["listening"].as_str()?.parse().ok()
            })
        })
        .await
    }

    /// What a probe found.
    async fn told(&self, name: &str, attempts: usize) -> Result<Vec<Told>, Failure> {
        self.lines(name, "a probe", |lines| {
            let told: Vec<Told> =
                lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (told.len() == attempts).then_some(told)
        })
        .await
    }

    /// Waits until a task has said what is looked for.
    async fn lines<T>(
        &self,
        service: &str,
        who: &str,
        find: impl Fn(&[String]) -> Option<T>,
    ) -> Result<T, Failure> {
        let swarm = &self.checks.swarm;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tasks = swarm.tasks(service).await?;
            let task = tasks.first();
            if let Some(task) = task.filter(|task| task.state >= TaskState::Running) {
                let lines = swarm.autopsy(task).await.log;
                if let Some(found) = find(&lines) {
                    return Ok(found);
                }
                let is_over = task.state.is_over() && task.state != TaskState::Complete;
                if is_over || Instant::now() >= deadline {
                    let said = lines.last().map_or("nothing", String::as_str);
                    let error = task.error.as_deref().unwrap_or("no error");
                    return Err(format!(
                        "{who} is {}, {error}, and said {said}",
                        task.state.as_str()
                    )
                    .into());
                }
            } else if Instant::now() >= deadline {
                let state = task.map_or("not there", |task| task.state.as_str());
                let why = task.and_then(|task| task.error.as_deref()).unwrap_or("no error");
                return Err(format!(
                    "{who} did not start in {} s: it is {state}, {why}",
                    PATIENCE.as_secs()
                )
                .into());
            }
            sleep(LOOK).await;
        }
    }
}
