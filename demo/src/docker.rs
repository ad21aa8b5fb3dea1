//! Docker as a witness: what really runs. Read only, except for commands that the sample app offers
//! inside its own containers.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail};
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::TaskState;
use bollard::query_parameters::{
    InspectNetworkOptionsBuilder, ListServicesOptionsBuilder, ListTasksOptionsBuilder,
    LogsOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures::{Stream, TryStreamExt as _};
use model::id::AppId;
use model::names;

/// Seconds that the daemon may take for an answer.
const TIMEOUT: u64 = 30;

/// The daemon that the worker drives.
#[derive(Clone)]
pub(crate) struct Witness(Docker);

/// A service as the swarm has it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) labels: HashMap<String, String>,
    pub(crate) image: String,
    pub(crate) replicas: i64,
    /// Ids of the networks that its tasks join.
    pub(crate) networks: Vec<String>,
}

/// A task that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replica {
    pub(crate) task: String,
    pub(crate) container: String,
    pub(crate) image: String,
}

/// An overlay network as the swarm has it.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) id: String,
    pub(crate) driver: String,
    pub(crate) encrypted: bool,
    pub(crate) subnets: Vec<String>,
}

/// What a request from inside a container came to.
#[derive(Debug)]
pub(crate) struct Inside {
    /// The first line: a status, or why there is none.
    pub(crate) head: String,
    /// The body, where it is JSON.
    pub(crate) body: serde_json::Value,
}

impl Witness {
    /// The daemon behind a `unix://` socket.
    pub(crate) fn connect(host: &str) -> Result<Self> {
        let docker = Docker::connect_with_unix(host, TIMEOUT, API_DEFAULT_VERSION)
            .with_context(|| format!("no Docker daemon at {host}"))?;
        Ok(Self(docker))
    }

    /// The service of an app; `None`: it has none.
    pub(crate) async fn service(&self, app: AppId) -> Result<Option<Service>> {
        let label = format!("{}={app}", names::LABEL_APP);
        let filter = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListServicesOptionsBuilder::new().filters(&filter).build();
        let mut found = self.0.list_services(Some(options)).await?;
        let Some(service) = found.pop() else { return Ok(None) };
        if !found.is_empty() {
            bail!("Docker has {} services of the app {app}", found.len() + 1);
        }
        let spec = service.spec.unwrap_or_default();
        let task = spec.task_template.unwrap_or_default();
        let replicas = spec.mode.and_then(|mode| mode.replicated).and_then(|mode| mode.replicas);
        Ok(Some(Service {
            id: service.id.context("a service without an id")?,
            name: spec.name.unwrap_or_default(),
            labels: spec.labels.unwrap_or_default(),
            image: task.container_spec.and_then(|container| container.image).unwrap_or_default(),
            replicas: replicas.unwrap_or_default(),
            networks: task
                .networks
                .unwrap_or_default()
                .into_iter()
                .filter_map(|network| network.target)
                .collect(),
        }))
    }

    /// The tasks of a service that run and are meant to.
    pub(crate) async fn running(&self, service: &str) -> Result<Vec<Replica>> {
        let filter =
            HashMap::from([("service", vec![service]), ("desired-state", vec!["running"])]);
        let options = ListTasksOptionsBuilder::new().filters(&filter).build();
        let tasks = self.0.list_tasks(Some(options)).await?;
        let running = tasks.into_iter().filter_map(|task| {
            let status = task.status?;
            if status.state != Some(TaskState::RUNNING) {
                return None;
            }
            Some(Replica {
                task: task.id?,
                container: status.container_status?.container_id?,
                image: task.spec?.container_spec?.image?,
            })
        });
        Ok(running.collect())
    }

    /// An overlay network, as the swarm (not one node) knows it.
    pub(crate) async fn overlay(&self, name: &str) -> Result<Overlay> {
        let options = InspectNetworkOptionsBuilder::new().scope("swarm").build();
        let found = self.0.inspect_network(name, Some(options)).await;
        let found = found.with_context(|| format!("Docker does not show the network {name}"))?;
        let subnets = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Ok(Overlay {
            id: found.id.unwrap_or_default(),
            driver: found.driver.unwrap_or_default(),
            encrypted: found.options.is_some_and(|options| options.contains_key("encrypted")),
            subnets: subnets.into_iter().filter_map(|config| config.subnet).collect(),
        })
    }

    /// The address of a container on a network.
    pub(crate) async fn address(&self, container: &str, network: &str) -> Result<Ipv4Addr> {
        let found = self.0.inspect_container(container, None).await?;
        let networks = found.network_settings.and_then(|settings| settings.networks);
        let address = networks
            .and_then(|mut networks| networks.remove(network))
            .and_then(|network| network.ip_address)
            .with_context(|| format!("container {container} is not on the network {network}"))?;
        address.parse().with_context(|| format!("container {container} has the address {address}"))
    }

    /// Requests a URL from inside a container of the sample app (`/app get URL`).
    pub(crate) async fn request(&self, container: &str, url: &str) -> Result<Inside> {
        let command = CreateExecOptions {
            cmd: Some(vec!["/app", "get", url]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let made = self.0.create_exec(container, command).await?;
        let started = self.0.start_exec(&made.id, None::<StartExecOptions>).await?;
        let StartExecResults::Attached { output, .. } = started else {
            bail!("Docker detached from a command in container {container}");
        };
        let output: Vec<LogOutput> = output.try_collect().await?;
        let text: String = output
            .into_iter()
            .map(|part| String::from_utf8_lossy(&part.into_bytes()).into_owned())
            .collect();
        let (head, body) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(Inside {
            head: head.trim().to_owned(),
            body: serde_json::from_str(body.trim()).unwrap_or_default(),
        })
    }

    /// What a task writes to its standard output, from its last line on.
    pub(crate) fn output(&self, task: &str) -> impl Stream<Item = Result<String>> + use<> {
        let options = LogsOptionsBuilder::new().stdout(true).follow(true).tail("1").build();
        let stream = self.0.task_logs(task, Some(options));
        stream
            .map_ok(|part| String::from_utf8_lossy(&part.into_bytes()).into_owned())
            .map_err(anyhow::Error::from)
    }
}
