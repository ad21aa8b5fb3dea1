//! A survey: every network that Docker has, ours or not, on every node whose daemon is reached; and the ranges that Docker
//! itself takes addresses from.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Nodes of the swarm.
    pub nodes: i32,
    /// Networks, each once for every daemon that shows it.
    pub networks: Vec<FoundNetwork>,
    /// Ranges that daemons make local networks from.
    pub local_pools: Vec<Ipv4Net>,
}

/// A network of Docker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNetwork {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its IPv4 subnets.
    pub subnets: Vec<Ipv4Net>,
    /// Whether traffic between nodes is encrypted.
    pub encrypted: bool,
    /// Whether its containers reach nothing else.
    pub internal: bool,
    /// Whether it is the swarm's, as a manager knows it, and not one node's copy.
    pub is_swarms: bool,
}
