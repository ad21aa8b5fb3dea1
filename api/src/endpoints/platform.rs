//! The installation: how it is set, and what an operator should know about that.

use chrono::{DateTime, Utc};
use db::OperatorScope;
use db::swarm_seen::swarm_seen_get;
use model::disk::OnDiskFull;
use model::platform::Encryption;
use model::spec::EndpointMode;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use crate::access::{Access, action};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoint of the installation.
pub(crate) struct PlatformEndpoints;

/// The installation.
#[derive(Debug, Object)]
#[oai(rename = "Platform")]
pub(crate) struct PlatformObject {
    /// Its name: the value of the label `skep.platform` of all its objects in Swarm.
    name: String,
    /// Endpoint mode of apps that state none.
    endpoint_mode: Word<EndpointMode>,
    /// Whether new networks are encrypted between nodes.
    encryption: Word<Encryption>,
    /// What is done about apps that have written all that they may.
    on_disk_full: Word<OnDiskFull>,
    /// MTU of the underlay for new networks, in bytes; `null`: Docker's 1500.
    network_mtu: Option<i32>,
    /// Nodes of the swarm, as a worker saw them last; `null`: none has looked yet.
    nodes: Option<i32>,
    /// When that was.
    nodes_seen_at: Option<DateTime<Utc>>,
    /// What is set in a way that costs a promise, in sentences.
    warnings: Vec<String>,
}

#[OpenApi(tag = "Tag::Platform")]
impl PlatformEndpoints {
    /// Get the installation
    ///
    /// How it is set, how many nodes its swarm has, and what is set in a way that costs a promise. For operators.
    #[oai(path = "/v1/admin/platform", method = "get", operation_id = "platform_get")]
    async fn get(
        &self,
        access: Access<action::PlatformRead, OperatorScope>,
    ) -> Result<Json<PlatformObject>, Problem> {
        let state = &access.state;
        let seen = swarm_seen_get(&state.database, access.scope).await?;
        let platform = &state.platform;
        Ok(Json(PlatformObject {
            name: platform.name.clone(),
            endpoint_mode: Word(platform.endpoint_mode),
            encryption: Word(platform.encryption),
            on_disk_full: Word(platform.on_disk_full),
            network_mtu: platform.network_mtu,
            nodes: seen.map(|(nodes, _)| nodes),
            nodes_seen_at: seen.map(|(_, seen_at)| seen_at),
            warnings: platform.warnings(),
        }))
    }
}
