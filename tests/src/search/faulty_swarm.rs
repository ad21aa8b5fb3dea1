//! A worker's way to the simulated Swarm. What the worker saw last is kept for the judge, who also
//! looks at each change before it is made.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::Stream;
use model::secret::SecretKind;
use orchestrator::swarm::{
    Autopsy, ConfigSpec, ImageLookup, ListedNetwork, ListedSecret, LocalImage, NetworkSpec, Node,
    OverlayNetwork, RegistryLogin, SecretSpec, Service, ServiceCount, ServiceSpec, Swarm,
    SwarmError, SwarmResult, Task, TaskState,
};

use super::judge::Judge;
use super::life::{Goes, Life, Planted, To};
use super::story_ledger::StoryLedger;
use crate::twin::swarm::SimulatedSwarm;

/// The swarm, as far as this worker reaches it.
pub(super) struct FaultySwarm<L> {
    pub(super) swarm: SimulatedSwarm,
    pub(super) life: Arc<Life>,
    pub(super) judge: Arc<Judge<L>>,
}

impl<L: StoryLedger> FaultySwarm<L> {
    async fn see<T>(&self, call: impl Future<Output = SwarmResult<T>>) -> SwarmResult<T> {
        match self.life.begin(To::See).await {
            Goes::Well => call.await,
            _ => Err(unavailable()),
        }
    }

    /// `service`: its name, or the id that an update names.
    async fn change<T>(
        &self,
        service: Option<&str>,
        call: impl Future<Output = SwarmResult<T>>,
    ) -> SwarmResult<T> {
        let goes = self.life.begin(To::Change).await;
        match goes {
            Goes::Unmade => return Err(unavailable()),
            Goes::Late => return Err(SwarmError::OutOfSequence),
            Goes::Well | Goes::Unanswered | Goes::ThenDies => {}
        }
        if self.life.is_dead() {
            return self.life.end().await;
        }
        self.judge.change(self.life.worker, service);
        let answer = call.await;
        match goes {
            Goes::ThenDies => self.life.end().await,
            Goes::Unanswered => Err(unavailable()),
            _ => answer,
        }
    }
}

fn unavailable() -> SwarmError {
    SwarmError::Unavailable("the daemon hung up".into())
}

impl<L: StoryLedger> Swarm for FaultySwarm<L> {
    async fn ensure_initialised(&self) -> SwarmResult<()> {
        self.see(self.swarm.ensure_initialised()).await
    }

    async fn has_workers(&self) -> SwarmResult<bool> {
        self.see(self.swarm.has_workers()).await
    }

    async fn nodes(&self) -> SwarmResult<Vec<Node>> {
        self.see(self.swarm.nodes()).await
    }

    async fn lost_nodes(&self) -> SwarmResult<BTreeSet<String>> {
        self.see(self.swarm.lost_nodes()).await
    }

    async fn services_on(&self, node: &str) -> SwarmResult<BTreeSet<String>> {
        self.see(self.swarm.services_on(node)).await
    }

    async fn service(&self, name: &str) -> SwarmResult<Option<Service>> {
        let found = self.see(self.swarm.service(name)).await?;
        self.judge.saw_service(self.life.worker, name, found.as_ref());
        if self.life.planted == Some(Planted::ReplicaCounts) {
            return Ok(found.map(|service| Service { update: None, ..service }));
        }
        Ok(found)
    }

    async fn service_create(&self, spec: &ServiceSpec) -> SwarmResult<()> {
        self.change(Some(&spec.name), self.swarm.service_create(spec)).await
    }

    async fn service_update(&self, id: &str, version: u64, spec: &ServiceSpec) -> SwarmResult<()> {
        self.change(Some(&spec.name), self.swarm.service_update(id, version, spec)).await
    }

    async fn service_remove(&self, name: &str) -> SwarmResult<()> {
        self.change(Some(name), self.swarm.service_remove(name)).await
    }

    async fn tasks(&self, service: &str) -> SwarmResult<Vec<Task>> {
        let mut tasks = self.see(self.swarm.tasks(service)).await?;
        self.judge.saw_tasks(self.life.worker, service, &tasks);
        if self.life.planted == Some(Planted::ReplicaCounts)
            && let Ok(Some(service)) = self.swarm.service(service).await
        {
            tasks.retain(|task| task.state == TaskState::Running);
            tasks.truncate(usize::try_from(service.replicas).unwrap_or_default());
            for task in &mut tasks {
                task.spec_hash.clone_from(&service.spec_hash);
                task.restart_counter = service.restart_counter;
            }
        }
        Ok(tasks)
    }

    async fn service_counts(&self, platform: &str) -> SwarmResult<Vec<ServiceCount>> {
        self.see(self.swarm.service_counts(platform)).await
    }

    async fn addresses(&self, network: &str, tasks: &[&Task]) -> HashMap<String, Ipv4Addr> {
        self.swarm.addresses(network, tasks).await
    }

    async fn autopsy(&self, task: &Task) -> Autopsy {
        let autopsy = async { Ok(self.swarm.autopsy(task).await) };
        self.see(autopsy).await.unwrap_or_default()
    }

    async fn network(&self, name: &str) -> SwarmResult<Option<OverlayNetwork>> {
        self.see(self.swarm.network(name)).await
    }

    async fn networks(&self, platform: &str) -> SwarmResult<Vec<ListedNetwork>> {
        self.see(self.swarm.networks(platform)).await
    }

    async fn network_create(&self, spec: &NetworkSpec) -> SwarmResult<()> {
        self.change(None, self.swarm.network_create(spec)).await
    }

    async fn network_remove(&self, id: &str) -> SwarmResult<()> {
        self.change(None, self.swarm.network_remove(id)).await
    }

    async fn config_ensure(&self, spec: &ConfigSpec<'_>) -> SwarmResult<String> {
        self.change(None, self.swarm.config_ensure(spec)).await
    }

    async fn secret(&self, kind: SecretKind, name: &str) -> SwarmResult<Option<String>> {
        self.see(self.swarm.secret(kind, name)).await
    }

    async fn secret_create(&self, spec: &SecretSpec<'_>) -> SwarmResult<String> {
        self.change(None, self.swarm.secret_create(spec)).await
    }

    async fn secrets(&self, kind: SecretKind, platform: &str) -> SwarmResult<Vec<ListedSecret>> {
        self.see(self.swarm.secrets(kind, platform)).await
    }

    async fn secret_remove(&self, kind: SecretKind, id: &str) -> SwarmResult<()> {
        self.change(None, self.swarm.secret_remove(kind, id)).await
    }

    async fn image_in_registry(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
    ) -> SwarmResult<ImageLookup> {
        self.see(self.swarm.image_in_registry(reference, login)).await
    }

    async fn image_on_node(&self, reference: &str) -> SwarmResult<Option<LocalImage>> {
        self.see(self.swarm.image_on_node(reference)).await
    }

    fn changes(&self) -> impl Stream<Item = SwarmResult<()>> + Send {
        self.swarm.changes()
    }
}
