//! The installation's settings: one row, written by `worker bootstrap`, read by every process at
//! its start, so that API and worker cannot disagree.

use diesel::prelude::*;

use crate::schema::platform;
use crate::spec::EndpointMode;

/// How this installation is set.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = platform, treat_none_as_null = true)]
pub struct Platform {
    /// The installation's name: value of the label `skep.platform`. Several may share a Swarm.
    pub name: String,
    /// Endpoint mode of apps that state none.
    pub endpoint_mode: EndpointMode,
    /// Whether apps may run images that only the node has (development).
    pub local_images: bool,
    /// Share of the CPU limit that is reserved on the node.
    pub cpu_reservation_ratio: f32,
    /// Share of the memory limit that is reserved on the node.
    pub memory_reservation_ratio: f32,
    /// Whether tenants' tasks may run on managers though the swarm has workers.
    pub tenants_on_managers: bool,
    /// MTU of the underlay for new networks, in bytes; `None`: Docker's 1500.
    pub network_mtu: Option<i32>,
}
