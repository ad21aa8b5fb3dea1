//! The real Swarm, through the Docker Engine API. The only place that knows bollard: what enters
//! is our spec (`outgoing` renders it), what leaves is our types (`incoming` reads them).

mod disk;
mod hosts;
mod images;
mod incoming;
mod login;
pub(crate) mod logs;
mod nodes;
mod on_node;
mod outgoing;
mod parts;
mod secrets;
mod survey;

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{LocalNodeState, NodeSpecRoleEnum, SwarmInitRequest};
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectNetworkOptionsBuilder, ListNetworksOptionsBuilder,
    ListNodesOptions, ListNodesOptionsBuilder, ListServicesOptionsBuilder, ListTasksOptionsBuilder,
    LogsOptionsBuilder, UpdateServiceOptionsBuilder,
};
use futures::{Stream, StreamExt, TryStreamExt};
use model::image::ImageReference;
use model::names;
use model::secret::SecretKind;
use tokio::time::{Instant, timeout};

pub use hosts::Host;
pub(crate) use images::ImageRemoval;

use super::{
    Autopsy, CALL, ConfigSpec, ImageLookup, LOG_LINES, ListedNetwork, ListedSecret, LocalImage,
    NetworkSpec, Node, OverlayNetwork, RegistryLogin, SecretSpec, Service, ServiceCount,
    ServiceSpec, Swarm, SwarmError, SwarmResult, Task,
};

/// How long the addresses of an app's new tasks are waited for: they are told, and nothing depends on them.
const ADDRESSES: Duration = Duration::from_secs(1);

/// A Docker daemon that is (or becomes) a manager, and those of other nodes.
pub struct DockerSwarm {
    docker: Docker,
    hosts: Vec<Host>,
    advertise_address: Option<String>,
}

impl DockerSwarm {
    /// Reaches the daemon at `host`, a `unix://` URL. `advertise_address` is used where a swarm has
    /// to be initialised; without it the daemon finds its own.
    pub fn connect(host: &str, advertise_address: Option<String>) -> SwarmResult<Self> {
        let host = Host::at(host)?;
        Ok(Self { docker: host.docker()?, hosts: vec![host], advertise_address })
    }
}

/// Bounds a call and sorts its error.
async fn call<T>(request: impl Future<Output = Result<T, DockerError>>) -> SwarmResult<T> {
    match timeout(CALL, request).await {
        Ok(answer) => answer.map_err(incoming::error),
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> SwarmError {
    SwarmError::Unavailable(format!("no answer within {} s", CALL.as_secs()))
}

/// `NotFound` as an answer.
fn optional<T>(answer: SwarmResult<T>) -> SwarmResult<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(SwarmError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Swarm for DockerSwarm {
    async fn ensure_initialised(&self) -> SwarmResult<()> {
        let info = call(self.docker.info()).await?.swarm.unwrap_or_default();
        match info.local_node_state {
            Some(LocalNodeState::ACTIVE) if info.control_available == Some(true) => Ok(()),
            Some(LocalNodeState::ACTIVE) => Err(SwarmError::Unavailable(
                "this daemon is a worker of a swarm; point DOCKER_HOST at a manager".into(),
            )),
            Some(LocalNodeState::LOCKED) => Err(SwarmError::Unavailable(
                "the swarm is locked; unlock it with `docker swarm unlock`".into(),
            )),
            _ => {
                // Left out, the daemon chooses the address itself: it knows its interfaces, we may
                // run on another machine.
                let request = SwarmInitRequest {
                    listen_addr: Some("0.0.0.0:2377".into()),
                    advertise_addr: self.advertise_address.clone(),
                    ..SwarmInitRequest::default()
                };
                let node = call(self.docker.init_swarm(request)).await.map_err(|error| {
                    SwarmError::Unavailable(format!(
                        "swarm init failed ({error}); set DOCKER_SWARM_ADVERTISE_ADDR to the \
                         address that other nodes reach"
                    ))
                })?;
                tracing::info!(node, "initialised a swarm on first use");
                Ok(())
            }
        }
    }

    async fn has_workers(&self) -> SwarmResult<bool> {
        let workers = HashMap::from([("role", vec!["worker"])]);
        let options = ListNodesOptionsBuilder::new().filters(&workers).build();
        let nodes = call(self.docker.list_nodes(Some(options))).await?;
        Ok(nodes.iter().any(|node| {
            node.spec.as_ref().and_then(|spec| spec.role) == Some(NodeSpecRoleEnum::WORKER)
        }))
    }

    async fn nodes(&self) -> SwarmResult<Vec<Node>> {
        // Without the history: a swarm remembers five tasks of each replica.
        let wanted = HashMap::from([("desired-state", vec!["ready", "running"])]);
        let options = ListTasksOptionsBuilder::new().filters(&wanted).build();
        let (nodes, tasks) = tokio::try_join!(
            call(self.docker.list_nodes(None::<ListNodesOptions>)),
            call(self.docker.list_tasks(Some(options))),
        )?;
        Ok(nodes::nodes(nodes, tasks))
    }

    async fn lost_nodes(&self) -> SwarmResult<BTreeSet<String>> {
        let nodes = self.known_nodes().await?;
        Ok(nodes.into_iter().filter(|node| node.is_down).map(|node| node.id).collect())
    }

    async fn services_on(&self, node: &str) -> SwarmResult<BTreeSet<String>> {
        let of_node = HashMap::from([("node", vec![node])]);
        let options = ListTasksOptionsBuilder::new().filters(&of_node).build();
        let tasks = optional(call(self.docker.list_tasks(Some(options))).await)?;
        Ok(tasks.into_iter().flatten().filter_map(|task| task.service_id).collect())
    }

    async fn service(&self, name: &str) -> SwarmResult<Option<Service>> {
        let found = optional(call(self.docker.inspect_service(name, None)).await)?;
        found.map(incoming::service).transpose()
    }

    async fn service_create(&self, spec: &ServiceSpec) -> SwarmResult<()> {
        call(
            self.docker
                .create_service(outgoing::service(spec), outgoing::login_of_new(&spec.login)),
        )
        .await
        .map_err(|error| match error {
            SwarmError::NameTaken(_) => SwarmError::NameTaken(spec.name.clone()),
            other => other,
        })?;
        Ok(())
    }

    async fn service_update(&self, id: &str, version: u64, spec: &ServiceSpec) -> SwarmResult<()> {
        // The API counts versions in 64 bits, bollard's option in 32.
        let version = i32::try_from(version)
            .map_err(|_| SwarmError::Refused(format!("version {version} exceeds bollard's i32")))?;
        let options = UpdateServiceOptionsBuilder::new().version(version).build();
        let login = outgoing::login_of_update(&spec.login);
        call(self.docker.update_service(id, outgoing::service(spec), options, login)).await?;
        Ok(())
    }

    async fn service_remove(&self, name: &str) -> SwarmResult<()> {
        optional(call(self.docker.delete_service(name)).await)?;
        Ok(())
    }

    async fn tasks(&self, service: &str) -> SwarmResult<Vec<Task>> {
        let filter = HashMap::from([("service", vec![service])]);
        let options = ListTasksOptionsBuilder::new().filters(&filter).build();
        match optional(call(self.docker.list_tasks(Some(options))).await)? {
            Some(tasks) => tasks.into_iter().map(incoming::task).collect(),
            // The filter resolves the name first; a removed service has no tasks that we could see.
            None => Ok(Vec::new()),
        }
    }

    async fn service_counts(&self, platform: &str) -> SwarmResult<Vec<ServiceCount>> {
        let label = format!("{}={platform}", names::LABEL_PLATFORM);
        let filter = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListServicesOptionsBuilder::new().filters(&filter).status(true).build();
        let services = call(self.docker.list_services(Some(options))).await?;
        Ok(services.into_iter().filter_map(incoming::count).collect())
    }

    async fn addresses(&self, network: &str, tasks: &[&Task]) -> HashMap<String, Ipv4Addr> {
        self.addresses_within(network, tasks, Instant::now() + ADDRESSES).await
    }

    async fn autopsy(&self, task: &Task) -> Autopsy {
        let container = async {
            match &task.container {
                Some(container) => self.container(container).await,
                None => None,
            }
        };
        let (log, found) = tokio::join!(self.last_lines(task), container);
        let mut autopsy = Autopsy { log, ..Autopsy::default() };
        let Some(found) = found else { return autopsy };
        let state = found.state.unwrap_or_default();
        autopsy.out_of_memory = state.oom_killed == Some(true);
        // Not the status: Docker makes it `unhealthy` whenever a container stops.
        let retries = found.config.and_then(|config| config.healthcheck?.retries);
        autopsy.health = state.health.and_then(|health| incoming::last_failure(health, retries));
        autopsy
    }

    async fn network(&self, name: &str) -> SwarmResult<Option<OverlayNetwork>> {
        // The node keeps a stale local copy of a removed network for some seconds: ask the swarm.
        let options = InspectNetworkOptionsBuilder::new().scope("swarm").build();
        let found = optional(call(self.docker.inspect_network(name, Some(options))).await)?;
        Ok(found.map(incoming::network))
    }

    async fn networks(&self, platform: &str) -> SwarmResult<Vec<ListedNetwork>> {
        let label = format!("{}={platform}", names::LABEL_PLATFORM);
        // Of the swarm's: a node keeps copies of its own for some seconds longer.
        let filter = HashMap::from([
            ("label", vec![label.as_str()]),
            ("driver", vec!["overlay"]),
            ("scope", vec!["swarm"]),
        ]);
        let options = ListNetworksOptionsBuilder::new().filters(&filter).build();
        let networks = call(self.docker.list_networks(Some(options))).await?;
        Ok(networks.into_iter().filter_map(incoming::listed_network).collect())
    }

    async fn network_create(&self, spec: &NetworkSpec) -> SwarmResult<()> {
        match call(self.docker.create_network(outgoing::network(spec))).await {
            // Another worker was faster; whoever looks next finds its network.
            Ok(_) | Err(SwarmError::NameTaken(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn network_remove(&self, id: &str) -> SwarmResult<()> {
        optional(call(self.docker.remove_network(id)).await)?;
        Ok(())
    }

    async fn config_ensure(&self, spec: &ConfigSpec<'_>) -> SwarmResult<String> {
        // Up to three requests, and yet no longer than one call: more may not be left of the lease.
        timeout(CALL, self.config_find_or_create(spec)).await.unwrap_or_else(|_| Err(no_answer()))
    }

    async fn secret(&self, kind: SecretKind, name: &str) -> SwarmResult<Option<String>> {
        self.id_of(kind, name).await
    }

    async fn secret_create(&self, spec: &SecretSpec<'_>) -> SwarmResult<String> {
        self.create(spec).await
    }

    async fn secrets(&self, kind: SecretKind, platform: &str) -> SwarmResult<Vec<ListedSecret>> {
        self.delivered(kind, platform).await
    }

    async fn secret_remove(&self, kind: SecretKind, id: &str) -> SwarmResult<()> {
        self.remove(kind, id).await
    }

    async fn image_in_registry(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
    ) -> SwarmResult<ImageLookup> {
        let login = login.map(outgoing::login);
        let answer = timeout(CALL, self.docker.inspect_registry_image(reference, login)).await;
        Ok(match answer {
            Ok(Ok(found)) => match found.descriptor.digest {
                Some(digest) => ImageLookup::Digest(digest),
                None => ImageLookup::Unavailable("the registry named no digest".into()),
            },
            Ok(Err(error)) => incoming::lookup_error(error)?,
            Err(_) => ImageLookup::Unavailable(format!(
                "the registry did not answer within {} s",
                CALL.as_secs()
            )),
        })
    }

    async fn image_on_node(&self, reference: &str) -> SwarmResult<Option<LocalImage>> {
        let found = optional(call(self.docker.inspect_image(reference)).await)?;
        let wanted = ImageReference::parse(reference);
        // An image keeps a digest for each repository that it was pulled from or pushed to: those
        // of other repositories say nothing about this one.
        let of_repository = |digest: &String| {
            ImageReference::parse(digest)
                .zip(wanted.as_ref())
                .is_some_and(|(digest, wanted)| digest.is_of_the_repository_of(wanted))
        };
        let is_this = |name: &String| wanted.as_ref().is_some_and(|wanted| wanted.is_named(name));
        Ok(found.and_then(|image| {
            let in_registry = image.repo_digests.unwrap_or_default().iter().any(of_repository);
            // Found by its id, say: then it is somebody's, and not what the reference names.
            let is_named = in_registry || image.repo_tags.unwrap_or_default().iter().any(is_this);
            is_named.then_some(LocalImage { id: image.id?, in_registry })
        }))
    }

    fn changes(&self) -> impl Stream<Item = SwarmResult<()>> + Send {
        // Health probes flood exec_* events: only these say that something changed.
        let filter = HashMap::from([
            ("type", vec!["service", "container", "node"]),
            ("event", vec!["create", "update", "remove", "start", "die", "health_status", "oom"]),
        ]);
        let options = EventsOptionsBuilder::new().filters(&filter).build();
        self.docker.events(Some(options)).map(|event| event.map(|_| ()).map_err(incoming::error))
    }
}

impl DockerSwarm {
    /// The task's last log lines; none where its node or its container is gone.
    async fn last_lines(&self, task: &Task) -> Vec<String> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail(&LOG_LINES.to_string())
            .build();
        let stream = self.docker.task_logs(&task.id, Some(options));
        let lines = stream
            .map_ok(|line| {
                let text = String::from_utf8_lossy(&line.into_bytes()).into_owned();
                incoming::text(text.trim_end_matches(['\r', '\n']))
            })
            .take(LOG_LINES)
            .try_collect();
        match timeout(Duration::from_secs(2), lines).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(error)) => {
                tracing::debug!(%error, task = task.id, "no log of the task");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }
}
