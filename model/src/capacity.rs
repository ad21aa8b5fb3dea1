//! How many addresses a network has for tasks, and how many an app may need of them. Docker does not say when they
//! run out: a task then stays NEW for ever. So they are counted before Docker is asked.

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
}

impl Need {
    /// Nothing.
    pub const NONE: Self = Self { replicas: 0, surge: 0, virtual_address: 0 };

    /// Of a spec whose endpoint mode is settled.
    pub fn of(spec: &AppSpec, replicas: i32) -> Self {
        let parallelism = i32::try_from(spec.update_policy.parallelism).unwrap_or(i32::MAX);
        let surge = match spec.update_policy.order {
            UpdateOrder::StartFirst => parallelism.min(replicas),
            UpdateOrder::StopFirst => 0,
        };
        let virtual_address = i32::from(spec.endpoint_mode != Some(EndpointMode::Dnsrr));
        Self { replicas, surge, virtual_address }
    }

    /// All of it.
    pub const fn addresses(self) -> i32 {
        self.replicas + self.surge + self.virtual_address
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
}
