//! What containers have written, as a node's daemon counts it: it walks their writable layers, which takes its time.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use model::id::AppId;
use model::names;
use tokio::time::timeout;

use super::on_node::TASK_ID;
use super::{Host, incoming};
use crate::swarm::{SwarmError, SwarmResult};

/// How long a daemon may walk.
const WALK: Duration = Duration::from_secs(120);

/// What a container of an app's has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The app.
    pub(crate) app: AppId,
    /// Swarm's id of its task.
    pub(crate) task: String,
    /// Its writable layer, in bytes.
    pub(crate) bytes: i64,
}

impl Host {
    /// What containers of an installation's tasks that run there have written.
    pub(crate) async fn written(&self, platform: &str) -> SwarmResult<Vec<Written>> {
        let label = format!("{}={platform}", names::LABEL_PLATFORM);
        let filter = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListContainersOptionsBuilder::new().filters(&filter).size(true).build();
        let socket = self.socket();
        let docker = Docker::connect_with_unix(
            &socket.to_string_lossy(),
            WALK.as_secs(),
            API_DEFAULT_VERSION,
        )
        .map_err(|error| SwarmError::Unavailable(error.to_string()))?;
        let walked = timeout(WALK, docker.list_containers(Some(options))).await;
        let found = match walked {
            Ok(found) => found.map_err(incoming::error)?,
            Err(_) => {
                let message =
                    format!("its containers were not measured within {} s", WALK.as_secs());
                return Err(SwarmError::Unavailable(message));
            }
        };
        let containers = found.into_iter().filter_map(|container| {
            let labels = container.labels?;
            Some(Written {
                app: labels.get(names::LABEL_APP)?.parse().ok()?,
                task: labels.get(TASK_ID)?.clone(),
                // A container that has written nothing has no such field.
                bytes: container.size_rw.unwrap_or(0),
            })
        });
        Ok(containers.collect())
    }
}
