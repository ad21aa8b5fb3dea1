//! The installation's settings: one row, written by `worker bootstrap`, read by every process at
//! its start, so that API and worker cannot disagree.

use diesel::prelude::*;

use crate::disk::OnDiskFull;
use crate::drift::OnDrift;
use crate::schema::platform;
use crate::spec::EndpointMode;
use crate::text_enum::text_enum;
use crate::update_policy::{Deadlines, Unstated};

text_enum! {
    /// Whether new overlay networks are encrypted between nodes.
    pub enum Encryption {
        /// They are.
        On => "on",
        /// They are not: for swarms whose kernel cannot (development rigs). Every process warns of it.
        Off => "off",
    }
}

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
    /// Seconds until a node is found, for apps that state none (10–1800).
    pub deadline_schedule_seconds: i32,
    /// Seconds until the image is there, for apps that state none (30–3600).
    pub deadline_pull_seconds: i32,
    /// Seconds until a task is healthy, for apps that state none (5–1800).
    pub deadline_healthy_seconds: i32,
    /// Seconds between two replicas that become healthy, for apps that state none (60–7200).
    pub deadline_progress_seconds: i32,
    /// What is done about services that are not as the last verdict left them.
    pub on_drift: OnDrift,
    /// Whether new networks are encrypted.
    pub encryption: Encryption,
    /// What is done about apps that have written all that they may.
    pub on_disk_full: OnDiskFull,
}

impl Platform {
    /// What is set in a way that costs a promise, in sentences. Every process tells of it at its start.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.encryption == Encryption::Off {
            warnings.push(
                "new overlay networks are not encrypted: what crosses between nodes can be read on the way; where the \
                 nodes' kernels can encrypt, bootstrap again with SKEP_ENCRYPTION=on"
                    .to_owned(),
            );
        }
        warnings
    }

    /// The deadlines of apps that state none.
    pub fn deadlines(&self) -> Deadlines {
        // Postgres checks that they are positive.
        Deadlines {
            schedule_seconds: self.deadline_schedule_seconds.unsigned_abs(),
            pull_seconds: self.deadline_pull_seconds.unsigned_abs(),
            healthy_seconds: self.deadline_healthy_seconds.unsigned_abs(),
            progress_seconds: self.deadline_progress_seconds.unsigned_abs(),
            unstated: Unstated::default(),
        }
    }
}
