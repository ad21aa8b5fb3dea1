//! Networks: one encrypted overlay per environment. Docker cannot change its options after
//! creation, so the row is written once.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::IpNet;

use crate::id::{EnvironmentId, NetworkId, OrganizationId};
use crate::schema::networks;

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
}
