//! How many addresses a network has for tasks, and what an app may need: of those, and of what its organization may use.
//! Docker does not say when addresses run out: a task then stays NEW for ever. So they are counted before Docker is asked.

use diesel::prelude::*;

use crate::schema::apps;
use crate::spec::{AppSpec, EndpointMode};
use crate::update_policy::UpdateOrder;

/// Of each subnet: its first address, its last one, and the gateway's.
const NOBODYS: i32 = 3;

/// What a network holds, and what of it is spoken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Addresses of the subnet.
    pub addresses: i32,
    /// Of those, what nobody can have: the first, the last, and the gateway's.
    pub nobodys: i32,
    /// One for each node of the swarm: its load balancer's, on every node that runs one of the network's tasks.
    pub nodes: i32,
    /// What apps may need.
    pub reserved: i32,
}

impl Capacity {
    /// Of a subnet of `prefix` bits in a swarm of `nodes` nodes.
    pub const fn of(prefix: u8, nodes: i32, reserved: i32) -> Self {
        let bits = 32_u8.saturating_sub(prefix);
        let addresses = if bits > 30 { i32::MAX } else { 1 << bits };
        Self { addresses, nobodys: NOBODYS, nodes, reserved }
    }

    /// What is left for more apps and replicas.
    pub fn free(self) -> i32 {
        (self.addresses - self.nobodys - self.nodes - self.reserved).max(0)
    }
}

/// What an app may need at most: its replicas, those that run beside them in an update, and its virtual address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Its replicas.
    pub replicas: i32,
    /// Tasks that start before others stop.
    pub surge: i32,
    /// 1 where its name resolves to one virtual address.
    pub virtual_address: i32,
    /// What each task may use.
    pub limits: Limits,
}

/// What a task may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_millis: i32,
    /// MB (2^20 bytes).
    pub memory_mb: i32,
    /// GB (2^30 bytes).
    pub disk_gb: i32,
}

/// What is kept for an app, in sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Queryable, Selectable)]
#[diesel(table_name = apps)]
pub struct Reserved {
    /// Addresses of its network.
    #[diesel(column_name = reserved_addresses)]
    pub addresses: i32,
    /// Replicas, those included that run beside others in an update.
    #[diesel(column_name = reserved_tasks)]
    pub tasks: i32,
    /// Thousandths of a core.
    #[diesel(column_name = reserved_cpu_millis)]
    pub cpu_millis: i32,
    /// MB (2^20 bytes).
    #[diesel(column_name = reserved_memory_mb)]
    pub memory_mb: i32,
    /// GB (2^30 bytes).
    #[diesel(column_name = reserved_disk_gb)]
    pub disk_gb: i32,
}

impl Need {
    /// Nothing.
    pub const NONE: Self = Self {
        replicas: 0,
        surge: 0,
        virtual_address: 0,
        limits: Limits { cpu_millis: 0, memory_mb: 0, disk_gb: 0 },
    };

    /// Of a spec whose endpoint mode is settled.
    pub fn of(spec: &AppSpec, replicas: i32) -> Self {
        let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let surge = match spec.update_policy.order {
            UpdateOrder::StartFirst => whole(spec.update_policy.parallelism).min(replicas),
            UpdateOrder::StopFirst => 0,
        };
        let virtual_address = i32::from(spec.endpoint_mode != Some(EndpointMode::Dnsrr));
        let limits = Limits {
            cpu_millis: whole(spec.cpu_millis),
            memory_mb: whole(spec.memory_mb),
            disk_gb: whole(spec.disk_gb),
        };
        Self { replicas, surge, virtual_address, limits }
    }

    /// All of it.
    pub const fn reserved(self) -> Reserved {
        let tasks = self.replicas + self.surge;
        Reserved {
            addresses: tasks + self.virtual_address,
            tasks,
            cpu_millis: tasks.saturating_mul(self.limits.cpu_millis),
            memory_mb: tasks.saturating_mul(self.limits.memory_mb),
            disk_gb: tasks.saturating_mul(self.limits.disk_gb),
        }
    }
}

impl Reserved {
    /// The larger of each.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        Self {
            addresses: self.addresses.max(other.addresses),
            tasks: self.tasks.max(other.tasks),
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory_mb: self.memory_mb.max(other.memory_mb),
            disk_gb: self.disk_gb.max(other.disk_gb),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_24_on_three_nodes_has_250_addresses() {
        let capacity = Capacity::of(24, 3, 0);
        assert_eq!((capacity.addresses, capacity.free()), (256, 250));
        assert_eq!(Capacity::of(26, 3, 50).free(), 8);
        assert_eq!(Capacity::of(26, 3, 60).free(), 0);
    }

    #[test]
    fn a_start_first_update_needs_more_than_its_replicas() {
        let mut spec = AppSpec::of_image("a:1");
        (spec.cpu_millis, spec.memory_mb, spec.disk_gb) = (500, 512, 1);
        spec.update_policy.parallelism = 2;
        let needed = Need::of(&spec, 3).reserved();
        let asked =
            Reserved { addresses: 6, tasks: 5, cpu_millis: 2500, memory_mb: 2560, disk_gb: 5 };
        assert_eq!(needed, asked);
        spec.update_policy.order = UpdateOrder::StopFirst;
        spec.endpoint_mode = Some(EndpointMode::Dnsrr);
        assert_eq!(Need::of(&spec, 3).reserved().tasks, 3);
        // Of a stopped app only its name is kept.
        spec.endpoint_mode = None;
        assert_eq!(Need::of(&spec, 0).reserved(), Reserved { addresses: 1, ..Reserved::default() });
    }
}
