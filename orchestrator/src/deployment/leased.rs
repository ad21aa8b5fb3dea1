//! The swarm as a drive may touch it: each call that changes something is made only while enough of
//! the lease is left for it. A step makes several calls, and the worker may have been stopped for a
//! minute between two of them: what it began with says nothing of what it may still do.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::Stream;

use model::secret::SecretKind;

use crate::lease::Left;
use crate::swarm::{
    Autopsy, ConfigSpec, ImageLookup, ListedNetwork, ListedSecret, LocalImage, NetworkSpec, Node,
    OverlayNetwork, RegistryLogin, SecretSpec, Service, ServiceCount, ServiceSpec, Swarm,
    SwarmError, SwarmResult, Task,
};

/// A swarm under a lease. Reading is free: it is decided upon under the fence.
pub(super) struct Leased<S> {
    swarm: Arc<S>,
    left: Left,
}

impl<S> Leased<S> {
    /// The swarm, for as long as this lease holds.
    pub(super) const fn new(swarm: Arc<S>, left: Left) -> Self {
        Self { swarm, left }
    }

    /// The swarm to change, if a call would end within the lease.
    fn for_a_change(&self) -> SwarmResult<&S> {
        if self.left.allows_a_call() { Ok(&self.swarm) } else { Err(SwarmError::OutOfLease) }
    }
}

impl<S: Swarm> Swarm for Leased<S> {
    async fn ensure_initialised(&self) -> SwarmResult<()> {
        self.for_a_change()?.ensure_initialised().await
    }

    async fn has_workers(&self) -> SwarmResult<bool> {
        self.swarm.has_workers().await
    }

    async fn nodes(&self) -> SwarmResult<Vec<Node>> {
        self.swarm.nodes().await
    }

    async fn lost_nodes(&self) -> SwarmResult<BTreeSet<String>> {
        self.swarm.lost_nodes().await
    }

    async fn services_on(&self, node: &str) -> SwarmResult<BTreeSet<String>> {
        self.swarm.services_on(node).await
    }

    async fn service(&self, name: &str) -> SwarmResult<Option<Service>> {
        self.swarm.service(name).await
    }

    async fn service_create(&self, spec: &ServiceSpec) -> SwarmResult<()> {
        self.for_a_change()?.service_create(spec).await
    }

    async fn service_update(&self, id: &str, version: u64, spec: &ServiceSpec) -> SwarmResult<()> {
        self.for_a_change()?.service_update(id, version, spec).await
    }

    async fn service_remove(&self, name: &str) -> SwarmResult<()> {
        self.for_a_change()?.service_remove(name).await
    }

    async fn tasks(&self, service: &str) -> SwarmResult<Vec<Task>> {
        self.swarm.tasks(service).await
    }

    async fn service_counts(&self, platform: &str) -> SwarmResult<Vec<ServiceCount>> {
        self.swarm.service_counts(platform).await
    }

    async fn addresses(&self, network: &str, tasks: &[&Task]) -> HashMap<String, Ipv4Addr> {
        self.swarm.addresses(network, tasks).await
    }

    async fn autopsy(&self, task: &Task) -> Autopsy {
        self.swarm.autopsy(task).await
    }

    async fn network(&self, name: &str) -> SwarmResult<Option<OverlayNetwork>> {
        self.swarm.network(name).await
    }

    async fn networks(&self, platform: &str) -> SwarmResult<Vec<ListedNetwork>> {
        self.swarm.networks(platform).await
    }

    async fn network_create(&self, spec: &NetworkSpec) -> SwarmResult<()> {
        self.for_a_change()?.network_create(spec).await
    }

    async fn network_remove(&self, id: &str) -> SwarmResult<()> {
        self.for_a_change()?.network_remove(id).await
    }

    async fn config_ensure(&self, spec: &ConfigSpec<'_>) -> SwarmResult<String> {
        self.for_a_change()?.config_ensure(spec).await
    }

    async fn secret(&self, kind: SecretKind, name: &str) -> SwarmResult<Option<String>> {
        self.swarm.secret(kind, name).await
    }

    async fn secret_create(&self, spec: &SecretSpec<'_>) -> SwarmResult<String> {
        self.for_a_change()?.secret_create(spec).await
    }

    async fn secrets(&self, kind: SecretKind, platform: &str) -> SwarmResult<Vec<ListedSecret>> {
        self.swarm.secrets(kind, platform).await
    }

    async fn secret_remove(&self, kind: SecretKind, id: &str) -> SwarmResult<()> {
        self.for_a_change()?.secret_remove(kind, id).await
    }

    async fn image_in_registry(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
    ) -> SwarmResult<ImageLookup> {
        self.swarm.image_in_registry(reference, login).await
    }

    async fn image_on_node(&self, reference: &str) -> SwarmResult<Option<LocalImage>> {
        self.swarm.image_on_node(reference).await
    }

    fn changes(&self) -> impl Stream<Item = SwarmResult<()>> + Send {
        self.swarm.changes()
    }
}

#[cfg(test)]
mod tests;
