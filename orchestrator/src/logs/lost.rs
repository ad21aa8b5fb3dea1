//! The nodes that Swarm has lost, as all logs of a worker know them: Docker says nothing to who follows a task whose node goes away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::swarm::Swarm as _;
use crate::swarm::docker::DockerSwarm;

/// How long what was known is believed.
const LATELY: Duration = Duration::from_secs(5);

/// Nodes that are lost.
#[derive(Default)]
pub(super) struct Lost(Mutex<Option<(Instant, Arc<BTreeSet<String>>)>>);

impl Lost {
    /// Their ids. Where the swarm does not answer, what was known before: whoever reads finds that out by itself.
    pub(super) async fn lately(&self, swarm: &DockerSwarm) -> Arc<BTreeSet<String>> {
        let mut known = self.0.lock().await;
        let before = match &*known {
            Some((at, lost)) if at.elapsed() < LATELY => return Arc::clone(lost),
            Some((_, lost)) => Arc::clone(lost),
            None => Arc::default(),
        };
        let lost = match swarm.lost_nodes().await {
            Ok(lost) => Arc::new(lost),
            Err(error) => {
                tracing::debug!(%error, "which nodes are lost is not known");
                before
            }
        };
        *known = Some((Instant::now(), Arc::clone(&lost)));
        lost
    }
}
