//! A swarm that only counts, under leases of every length.

use std::collections::BTreeMap;
use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream;
use tokio::time::{Instant, advance};

use super::*;
use crate::swarm::CALL;

/// Counts the calls that reach it.
#[derive(Default)]
struct Counting {
    reads: AtomicUsize,
    changes: AtomicUsize,
}

impl Counting {
    fn read<T>(&self, answer: T) -> SwarmResult<T> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    fn change<T>(&self, answer: T) -> SwarmResult<T> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }
}

impl Swarm for Counting {
    async fn ensure_initialised(&self) -> SwarmResult<()> {
        self.change(())
    }
    async fn has_workers(&self) -> SwarmResult<bool> {
        self.read(false)
    }
    async fn nodes(&self) -> SwarmResult<Vec<Node>> {
        self.read(Vec::new())
    }
    async fn lost_nodes(&self) -> SwarmResult<BTreeSet<String>> {
        self.read(BTreeSet::new())
    }
    async fn services_on(&self, _: &str) -> SwarmResult<BTreeSet<String>> {
        self.read(BTreeSet::new())
    }
    async fn service(&self, _: &str) -> SwarmResult<Option<Service>> {
        self.read(None)
    }
    async fn service_create(&self, _: &ServiceSpec) -> SwarmResult<()> {
        self.change(())
    }
    async fn service_update(&self, _: &str, _: u64, _: &ServiceSpec) -> SwarmResult<()> {
        self.change(())
    }
    async fn service_remove(&self, _: &str) -> SwarmResult<()> {
        self.change(())
    }
    async fn tasks(&self, _: &str) -> SwarmResult<Vec<Task>> {
        self.read(Vec::new())
    }
    async fn service_counts(&self, _: &str) -> SwarmResult<Vec<ServiceCount>> {
        self.read(Vec::new())
    }
    async fn addresses(&self, _: &str, _: &[&Task]) -> HashMap<String, Ipv4Addr> {
        HashMap::new()
    }
    async fn autopsy(&self, _: &Task) -> Autopsy {
        Autopsy::default()
    }
    async fn network(&self, _: &str) -> SwarmResult<Option<OverlayNetwork>> {
        self.read(None)
    }
    async fn networks(&self, _: &str) -> SwarmResult<Vec<ListedNetwork>> {
        self.read(Vec::new())
    }
    async fn network_create(&self, _: &NetworkSpec) -> SwarmResult<()> {
        self.change(())
    }
    async fn network_remove(&self, _: &str) -> SwarmResult<()> {
        self.change(())
    }
    async fn config_ensure(&self, _: &ConfigSpec<'_>) -> SwarmResult<String> {
        self.change(String::new())
    }
    async fn secret(&self, _: SecretKind, _: &str) -> SwarmResult<Option<String>> {
        self.read(None)
    }
    async fn secret_create(&self, _: &SecretSpec<'_>) -> SwarmResult<String> {
        self.change(String::new())
    }
    async fn secrets(&self, _: SecretKind, _: &str) -> SwarmResult<Vec<ListedSecret>> {
        self.read(Vec::new())
    }
    async fn secret_remove(&self, _: SecretKind, _: &str) -> SwarmResult<()> {
        self.change(())
    }
    async fn image_in_registry(
        &self,
        _: &str,
        _: Option<&RegistryLogin>,
    ) -> SwarmResult<ImageLookup> {
        self.read(ImageLookup::NotFound)
    }
    async fn image_on_node(&self, _: &str) -> SwarmResult<Option<LocalImage>> {
        self.read(None)
    }
    fn changes(&self) -> impl Stream<Item = SwarmResult<()>> + Send {
        stream::empty()
    }
}

const CONFIG: ConfigSpec<'static> =
    ConfigSpec { name: String::new(), content: &[], labels: BTreeMap::new() };

/// One call of each kind that needs no long spec.
async fn changes(swarm: &impl Swarm) -> [SwarmResult<()>; 3] {
    [
        swarm.service_remove("web").await,
        swarm.network_remove("net").await,
        swarm.config_ensure(&CONFIG).await.map(drop),
    ]
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_with_less_left_than_a_call_may_take() {
    let raw = Arc::new(Counting::default());
    let (lease, left) = Left::until(Instant::now() + CALL + Duration::from_secs(1));
    let swarm = Leased::new(Arc::clone(&raw), left);
    assert!(changes(&swarm).await.iter().all(Result::is_ok));
    assert_eq!(raw.changes.load(Ordering::Relaxed), 3);

    // Within one step: the check before it says nothing of the calls after it.
    advance(Duration::from_secs(1)).await;
    for refused in changes(&swarm).await {
        assert!(matches!(refused, Err(SwarmError::OutOfLease)), "{refused:?}");
    }
    assert_eq!(raw.changes.load(Ordering::Relaxed), 3, "no call reached the daemon");
    assert!(swarm.service("web").await.is_ok(), "looking needs no lease");
    assert_eq!(raw.reads.load(Ordering::Relaxed), 1);

    lease.send_replace(Instant::now() + CALL + Duration::from_millis(1));
    assert!(changes(&swarm).await.iter().all(Result::is_ok), "renewed, it may go on");

    // A worker that was stopped and wakes up long after its lease.
    drop(lease);
    advance(Duration::from_secs(60)).await;
    assert!(changes(&swarm).await.iter().all(Result::is_err));
}
