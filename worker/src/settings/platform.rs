//! Settings of the installation, as `worker bootstrap` is given them.

use clap::{Args, ValueEnum};
use ipnet::Ipv4Net;
use model::disk::OnDiskFull;
use model::drift::OnDrift;
use model::platform::{Encryption, Platform};
use model::spec::EndpointMode;

/// Settings of the installation. They are written into the database, where API and workers read
/// them; a later bootstrap changes them.
#[derive(Args)]
pub(crate) struct PlatformSettings {
    /// Name of this installation: labels its objects in Swarm (a-z, 0-9 and hyphen, at most 30)
    #[arg(long, env = "SKEP_PLATFORM", default_value = "skep")]
    platform: String,
    /// How apps' names resolve unless they say: vip needs IPVS on every node
    #[arg(long, env = "SKEP_ENDPOINT_MODE", default_value = "vip")]
    endpoint_mode: EndpointModeSetting,
    /// Whether apps may run images that no registry has, only the node (for development)
    #[arg(long, env = "SKEP_LOCAL_IMAGES", default_value = "deny")]
    local_images: Permission,
    /// Share of the CPU limit that is reserved on the node, 0 to 1
    #[arg(long, env = "SKEP_CPU_RESERVATION_RATIO", default_value_t = 0.1)]
    cpu_reservation_ratio: f32,
    /// Share of the memory limit that is reserved on the node, 0 to 1
    #[arg(long, env = "SKEP_MEMORY_RESERVATION_RATIO", default_value_t = 0.5)]
    memory_reservation_ratio: f32,
    /// Whether tenants' tasks may run on managers though the swarm has workers
    #[arg(long, env = "SKEP_TENANTS_ON_MANAGERS", default_value = "deny")]
    tenants_on_managers: Permission,
    /// MTU of the nodes' network, in bytes, for new overlay networks; Docker's 1500 when left out
    #[arg(long, env = "SKEP_NETWORK_MTU")]
    network_mtu: Option<i32>,
    /// Seconds until a node is found for a task, for apps that do not say
    #[arg(long, env = "SKEP_DEADLINE_SCHEDULE", default_value_t = 120,
        value_parser = clap::value_parser!(i32).range(10..=1800))]
    deadline_schedule: i32,
    /// Seconds until an image is on its node, for apps that do not say
    #[arg(long, env = "SKEP_DEADLINE_PULL", default_value_t = 300,
        value_parser = clap::value_parser!(i32).range(30..=3600))]
    deadline_pull: i32,
    /// Seconds until a task that was started is healthy, for apps that do not say
    #[arg(long, env = "SKEP_DEADLINE_HEALTHY", default_value_t = 60,
        value_parser = clap::value_parser!(i32).range(5..=1800))]
    deadline_healthy: i32,
    /// Seconds between two replicas that become healthy, for apps that do not say
    #[arg(long, env = "SKEP_DEADLINE_PROGRESS", default_value_t = 600,
        value_parser = clap::value_parser!(i32).range(60..=7200))]
    deadline_progress: i32,
    /// What is done about a service that somebody else changed: report it to operators, or report it and
    /// bring back what should be live
    #[arg(long, env = "SKEP_ON_DRIFT", default_value = "repair")]
    on_drift: DriftSetting,
    /// Whether new overlay networks are encrypted between nodes: off is for swarms whose kernel cannot, and every
    /// process warns of it
    #[arg(long, env = "SKEP_ENCRYPTION", default_value = "on")]
    encryption: EncryptionSetting,
    /// What is done about an app of which a replica has written as much to disk as it may: tell its owner, or tell them and stop it
    #[arg(long, env = "SKEP_ON_DISK_FULL", default_value = "warn")]
    on_disk_full: DiskSetting,
    /// Ranges that overlay networks are carved from, separated by commas; only the first bootstrap
    /// reads it
    #[arg(long, env = "SKEP_SUBNET_POOLS", value_delimiter = ',', default_value = "10.64.0.0/12")]
    pub(crate) subnet_pools: Vec<Ipv4Net>,
}

#[derive(Clone, Copy, ValueEnum)]
enum EndpointModeSetting {
    Vip,
    Dnsrr,
}

#[derive(Clone, Copy, ValueEnum)]
enum EncryptionSetting {
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
enum DriftSetting {
    Report,
    Repair,
}

#[derive(Clone, Copy, ValueEnum)]
enum DiskSetting {
    Warn,
    Stop,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Permission {
    Allow,
    Deny,
}

impl PlatformSettings {
    pub(crate) fn platform(&self) -> Platform {
        Platform {
            name: self.platform.clone(),
            endpoint_mode: match self.endpoint_mode {
                EndpointModeSetting::Vip => EndpointMode::Vip,
                EndpointModeSetting::Dnsrr => EndpointMode::Dnsrr,
            },
            local_images: self.local_images == Permission::Allow,
            cpu_reservation_ratio: self.cpu_reservation_ratio,
            memory_reservation_ratio: self.memory_reservation_ratio,
            tenants_on_managers: self.tenants_on_managers == Permission::Allow,
            network_mtu: self.network_mtu,
            deadline_schedule_seconds: self.deadline_schedule,
            deadline_pull_seconds: self.deadline_pull,
            deadline_healthy_seconds: self.deadline_healthy,
            deadline_progress_seconds: self.deadline_progress,
            on_drift: match self.on_drift {
                DriftSetting::Report => OnDrift::Report,
                DriftSetting::Repair => OnDrift::Repair,
            },
            encryption: match self.encryption {
                EncryptionSetting::On => Encryption::On,
                EncryptionSetting::Off => Encryption::Off,
            },
            on_disk_full: match self.on_disk_full {
                DiskSetting::Warn => OnDiskFull::Warn,
                DiskSetting::Stop => OnDiskFull::Stop,
            },
        }
    }
}
