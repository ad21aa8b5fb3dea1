//! Networks: one encrypted overlay per environment. Docker cannot change its options after
//! creation, so the row is written once; another network takes its place.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;

use crate::error::Violation;
use crate::id::{EnvironmentId, NetworkId, OrganizationId};
use crate::schema::networks;
use crate::subnet::{DEFAULT_PREFIX, LONGEST_PREFIX, SHORTEST_PREFIX};
use crate::text_enum::text_enum;
use crate::{Error, Result};

/// Smallest MTU of an underlay, in bytes: what every IPv4 host takes (RFC 791).
pub const MIN_MTU: i32 = 576;
/// Largest MTU of an underlay, in bytes: jumbo frames.
pub const MAX_MTU: i32 = 9216;

text_enum! {
    /// What the containers on a network reach beside each other.
    pub enum NetworkAccess {
        /// The world outside, through their node.
        Egress => "egress",
        /// Nothing.
        Internal => "internal",
    }
}

/// What somebody chooses of a network when it is made. Docker changes none of it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Prefix length of its subnet.
    pub prefix: u8,
    /// MTU of the underlay, in bytes; `None`: the platform's.
    pub mtu: Option<i32>,
    /// What its containers reach.
    pub access: NetworkAccess,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self { prefix: DEFAULT_PREFIX, mtu: None, access: NetworkAccess::Egress }
    }
}

impl NetworkOptions {
    /// Refuses what is out of bounds.
    pub fn check(&self) -> Result<()> {
        let mut violations = Vec::new();
        if !(SHORTEST_PREFIX..=LONGEST_PREFIX).contains(&self.prefix) {
            let rule = format!("{SHORTEST_PREFIX} to {LONGEST_PREFIX}");
            violations.push(Violation::new("network.prefix", rule));
        }
        if self.mtu.is_some_and(|mtu| !(MIN_MTU..=MAX_MTU).contains(&mtu)) {
            violations.push(Violation::new("network.mtu", format!("{MIN_MTU} to {MAX_MTU} bytes")));
        }
        if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
    }
}

/// The overlay network of an environment, as it is meant to be.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable, Insertable)]
#[diesel(table_name = networks)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// The environment that it serves.
    pub environment_id: EnvironmentId,
    /// Its name in Swarm, unique there.
    pub name: String,
    /// Its own range of addresses; overlaps no other network's.
    pub subnet: IpNet,
    /// MTU of the underlay as given to Docker's driver, in bytes; `None`: Docker's 1500.
    pub mtu: Option<i32>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
    /// What its containers reach.
    pub access: NetworkAccess,
    /// Whether what crosses between nodes is encrypted.
    pub encrypted: bool,
    /// Since when it is to leave the swarm.
    pub retired_at: Option<DateTime<Utc>>,
    /// Addresses of it that are kept for apps.
    pub reserved_addresses: i32,
}
