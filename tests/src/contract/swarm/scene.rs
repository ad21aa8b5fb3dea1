//! What the cases share: one environment's network, specs of small services, and looks that wait.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ipnet::IpNet;
use model::names;
use model::spec::{EndpointMode, RestartCondition};
use model::update_policy::{FailureAction, UpdateOrder};
use orchestrator::swarm::{
    Healthcheck, NetworkSpec, RolloutSpec, Service, ServiceSpec, Swarm as _, SwarmError, Task,
    TaskSpec, TaskState, UpdateState,
};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::{Image, Stage};
use crate::wait_for;

/// The longest that anything may take.
const LONGEST: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long something that must not happen is given to happen.
const QUIET: Duration = Duration::from_millis(700);

/// A stage with a network on it.
pub(super) struct Scene<'a, S> {
    pub(super) stage: &'a S,
    network: String,
}

impl<'a, S: Stage> Scene<'a, S> {
    pub(super) async fn set(stage: &'a S) -> Result<Self> {
        let spec = network(stage, "network", 0)?;
        stage.swarm().network_create(&spec).await?;
        let network = wait_for("the network's subnet", LONGEST, async || {
            let found = stage.swarm().network(&spec.name).await?;
            Ok(found.filter(|found| !found.subnets.is_empty()))
        })
        .await?;
        Ok(Self { stage, network: network.id })
    }

    pub(super) fn swarm(&self) -> &S::Swarm {
        self.stage.swarm()
    }

    /// A service of this image: labelled with the image's name, replaced one task at a time, start
    /// first, each watched for 1 s, and rolled back.
    pub(super) fn spec(&self, image: Image, replicas: i32) -> ServiceSpec {
        let rollout = RolloutSpec {
            parallelism: 1,
            delay: Duration::ZERO,
            monitor: Duration::from_secs(1),
            max_failure_ratio: 0.3,
            order: UpdateOrder::StartFirst,
            failure_action: FailureAction::Rollback,
        };
        let task = task(image, &self.network);
        ServiceSpec {
            name: format!("{}-web", self.stage.platform()),
            labels: labels(self.stage, image.name()),
            replicas,
            spec_hash: hash(&task),
            task,
            restart_counter: 0,
            rollback: RolloutSpec { failure_action: FailureAction::Pause, ..rollout.clone() },
            update: rollout,
            endpoint_mode: EndpointMode::Dnsrr,
            login: orchestrator::swarm::Login::Nothing,
        }
    }

    /// Creates a service and waits until it runs. The ids of its tasks.
    pub(super) async fn running(&self, spec: &ServiceSpec) -> Result<Vec<String>> {
        self.swarm().service_create(spec).await?;
        self.runs(spec).await
    }

    /// Gives the service a spec, at whatever version it is.
    pub(super) async fn update(&self, spec: &ServiceSpec) -> Result<()> {
        loop {
            let service = self.service(&spec.name).await?;
            match self.swarm().service_update(&service.id, service.version, spec).await {
                Err(SwarmError::OutOfSequence) => {}
                answer => return Ok(answer?),
            }
        }
    }

    pub(super) async fn service(&self, name: &str) -> Result<Service> {
        self.swarm().service(name).await?.with_context(|| format!("no service {name}"))
    }

    pub(super) async fn look(&self, spec: &ServiceSpec) -> Result<(Service, Vec<Task>)> {
        let service = self.service(&spec.name).await?;
        let tasks = self.swarm().tasks(&service.id).await?;
        Ok((service, tasks))
    }

    /// Looks again and again until `look` says yes; it may look at what passes, too.
    pub(super) async fn until(
        &self,
        what: &str,
        spec: &ServiceSpec,
        mut look: impl FnMut(&Service, &[Task]) -> bool,
    ) -> Result<(Service, Vec<Task>)> {
        let end = Instant::now() + LONGEST;
        loop {
            let (service, tasks) = self.look(spec).await?;
            if look(&service, &tasks) {
                return Ok((service, tasks));
            }
            if Instant::now() >= end {
                bail!("waited for {what}: {service:#?} {tasks:#?}");
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until every replica of this spec runs and nothing else is wanted. The ids of its tasks.
    pub(super) async fn runs(&self, spec: &ServiceSpec) -> Result<Vec<String>> {
        let replicas = usize::try_from(spec.replicas)?;
        let all_run = |_: &Service, tasks: &[Task]| {
            wanted(tasks).count() == replicas && running(tasks, spec).count() == replicas
        };
        let (_, tasks) = self.until("every replica to run", spec, all_run).await?;
        Ok(ids(running(&tasks, spec)))
    }

    /// Waits for this UpdateStatus.
    pub(super) async fn reaches(
        &self,
        spec: &ServiceSpec,
        state: UpdateState,
    ) -> Result<(Service, Vec<Task>)> {
        self.until(state.as_str(), spec, |service, _| update(service) == Some(state)).await
    }

    /// For a while, these tasks run, no other is wanted, and there is no UpdateStatus.
    pub(super) async fn stays(&self, spec: &ServiceSpec, tasks: &[String]) -> Result<()> {
        let end = Instant::now() + QUIET;
        while Instant::now() < end {
            let (service, now) = self.look(spec).await?;
            ensure!(service.update.is_none(), "a rollout began: {service:#?}");
            ensure!(ids(wanted(&now)) == tasks, "tasks were touched: {now:#?}");
            sleep(LOOK).await;
        }
        Ok(())
    }
}

/// The `number`th network of a stage.
pub(super) fn network(stage: &impl Stage, name: &str, number: usize) -> Result<NetworkSpec> {
    let subnet = stage.subnets().subnets(24)?.nth(number).context("no subnet left")?;
    Ok(NetworkSpec {
        name: format!("{}-{name}", stage.platform()),
        subnet: IpNet::V4(subnet),
        mtu: None,
        encrypted: true,
        internal: false,
        labels: labels(stage, name),
    })
}

/// Labels of the platform, and one that tells what they are on.
pub(super) fn labels(stage: &impl Stage, what: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::LABEL_PLATFORM.to_owned(), stage.platform()),
        (names::LABEL_RELEASE.to_owned(), what.to_owned()),
    ])
}

fn task(image: Image, network: &str) -> TaskSpec {
    TaskSpec {
        image: image.name().to_owned(),
        labels: BTreeMap::new(),
        command: None,
        args: None,
        env: BTreeMap::from([("APP_DRAIN_SECONDS".to_owned(), "0".to_owned())]),
        user: None,
        working_dir: None,
        stop_signal: "SIGTERM".to_owned(),
        stop_grace_period: Duration::from_secs(10),
        health_check: Some(Healthcheck {
            command: vec!["/app".into(), "get".into(), "http://127.0.0.1:8080/health".into()],
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            start_period: Duration::ZERO,
            retries: 2,
        }),
        read_only: true,
        init: false,
        tmpfs: Vec::new(),
        configs: Vec::new(),
        secrets: Vec::new(),
        cpu_limit_nanos: 500_000_000,
        cpu_reserved_nanos: 1_000_000,
        memory_limit_bytes: 64 << 20,
        memory_reserved_bytes: 4 << 20,
        pids_limit: 128,
        restart: RestartCondition::Any,
        restart_delay: Duration::from_secs(1),
        constraints: Vec::new(),
        network: network.to_owned(),
        aliases: vec!["web".to_owned()],
    }
}

/// What tells two kinds of tasks apart.
pub(super) fn hash(task: &TaskSpec) -> String {
    let bytes = serde_json::to_vec(task).unwrap_or_default();
    hex::encode(&Sha256::digest(bytes)[..16])
}

/// Swarm's UpdateStatus.
pub(super) fn update(service: &Service) -> Option<UpdateState> {
    service.update.as_ref().map(|update| update.state)
}

/// Tasks that Swarm wants.
pub(super) fn wanted(tasks: &[Task]) -> impl Iterator<Item = &Task> {
    tasks.iter().filter(|task| task.desired <= TaskState::Running)
}

/// Tasks of a spec.
pub(super) fn of<'t>(tasks: &'t [Task], spec: &ServiceSpec) -> impl Iterator<Item = &'t Task> {
    let (hash, counter) = (spec.spec_hash.clone(), spec.restart_counter);
    tasks.iter().filter(move |task| {
        task.spec_hash.as_ref() == Some(&hash) && task.restart_counter == counter
    })
}

/// Tasks of a spec that Swarm wants and that run.
pub(super) fn running<'t>(tasks: &'t [Task], spec: &ServiceSpec) -> impl Iterator<Item = &'t Task> {
    of(tasks, spec)
        .filter(|task| task.desired == TaskState::Running && task.state == TaskState::Running)
}

/// Tasks that run, whatever Swarm wants of them.
pub(super) fn alive(tasks: &[Task]) -> usize {
    tasks.iter().filter(|task| task.state == TaskState::Running).count()
}

/// Their ids, sorted.
pub(super) fn ids<'t>(tasks: impl Iterator<Item = &'t Task>) -> Vec<String> {
    let mut ids: Vec<String> = tasks.map(|task| task.id.clone()).collect();
    ids.sort();
    ids
}
