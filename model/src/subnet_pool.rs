//! What networks are carved from, and what they are kept away from.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::{IpNet, Ipv4Net};

use crate::error::{ErrorCode, Violation};
use crate::id::{ReservedRangeId, SubnetPoolId};
use crate::schema::{reserved_ranges, subnet_pools};
use crate::subnet::LONGEST_PREFIX;
use crate::text_enum::text_enum;
use crate::{Error, Result};

/// Prefix length of the largest range that a pool may be: a whole private class A.
pub const LARGEST_POOL: u8 = 8;

/// Most pools, and most ranges that operators reserve: each allocation looks at all of them.
pub const MAX_POOLS: i64 = 64;
/// See [`MAX_POOLS`].
pub const MAX_RESERVED: i64 = 1024;

/// What no container can be reached at (RFC 6890: this network, loopback, link-local, multicast, and what is kept for later).
const NEVER: &[&str] =
    &["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"];

/// A range that networks are carved from.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = subnet_pools)]
pub struct SubnetPool {
    /// Its id.
    pub id: SubnetPoolId,
    /// The range.
    pub range: IpNet,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

text_enum! {
    /// Who knows of a reserved range.
    pub enum ReservedBy {
        /// An operator said so.
        Operator => "operator",
        /// A worker found it in use in Docker.
        Docker => "docker",
        /// A worker found that a node routes it elsewhere.
        Node => "node",
    }
}

/// A range that no network is given.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = reserved_ranges)]
pub struct ReservedRange {
    /// Its id.
    pub id: ReservedRangeId,
    /// The range.
    pub range: IpNet,
    /// Who knows of it.
    pub source: ReservedBy,
    /// What it is.
    pub note: String,
    /// When a worker saw it last; `None`: an operator's.
    pub seen_at: Option<DateTime<Utc>>,
    /// When it was written down.
    pub created_at: DateTime<Utc>,
}

/// Refuses what containers cannot be reached at, what is too small for one network, and what is too large.
pub fn check_pool(range: Ipv4Net) -> Result<()> {
    let rule = if range.addr() != range.network() {
        format!("the first address of a range, as {} is", range.trunc())
    } else if !(LARGEST_POOL..=LONGEST_PREFIX).contains(&range.prefix_len()) {
        format!("/{LARGEST_POOL} to /{LONGEST_PREFIX}: from a whole private range to one network")
    } else if never(range) {
        let message = format!("{range} overlaps what no container can have: {}", NEVER.join(", "));
        return Err(Error::new(ErrorCode::Overlap, message));
    } else {
        return Ok(());
    };
    Err(Error::invalid(vec![Violation::new("range", rule)]))
}

fn never(range: Ipv4Net) -> bool {
    let parsed = NEVER.iter().filter_map(|text| text.parse::<Ipv4Net>().ok());
    parsed.into_iter().any(|never| never.contains(&range) || range.contains(&never))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_what_containers_can_have() {
        let refused = |text: &str| check_pool(text.parse().unwrap()).is_err();
        for good in
            ["10.0.0.0/8", "10.64.0.0/12", "192.168.4.0/26", "100.64.0.0/10", "203.0.113.0/24"]
        {
            assert!(!refused(good), "{good}");
        }
        for bad in [
            "10.64.0.1/24",
            "10.64.0.0/27",
            "10.0.0.0/7",
            "127.0.0.0/8",
            "0.0.0.0/8",
            "169.254.4.0/24",
            "224.0.0.0/8",
            "255.0.0.0/8",
        ] {
            assert!(refused(bad), "{bad}");
        }
    }
}
