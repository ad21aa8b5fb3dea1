//! Ranges of subnets, disjoint between tests and between test processes: the tests of one machine
//! share a swarm, and overlapping networks are the failure that Docker does not report.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use db::Database;
use db::pool::Connection;
use ipnet::Ipv4Net;
use tokio::sync::OnceCell;

use crate::answer::list;
use crate::docker::Engine;
use crate::environment::environment;
use crate::sql;

/// Where tests carve from. Production's default is 10.64.0.0/12, a developer's platform uses that.
const ALL: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
/// Blocks of 32 ranges: one for each process.
const BLOCKS: u32 = 64;
const RANGES: u32 = 32;
/// Prefix length of a range: sixteen networks of /24.
const PREFIX: u8 = 20;
/// First key of the advisory locks by which processes hold their blocks.
const LOCK: i32 = 0x736b_6e65;

/// A range that is this test's until it is dropped.
pub struct Subnets {
    range: Ipv4Net,
    number: u32,
}

/// Ranges in use, and where the next search starts.
static TAKEN: Mutex<(BTreeSet<u32>, u32)> = Mutex::new((BTreeSet::new(), 0));

impl Subnets {
    /// Takes a free range.
    pub async fn take() -> Result<Self> {
        static BLOCK: OnceCell<Block> = OnceCell::const_new();
        let block = BLOCK.get_or_try_init(Block::hold).await?;
        // A node keeps its copy of a removed network for a while, and rejects tasks on another one that
        // overlaps: such a range rests.
        let kept = kept_by_the_node().await?;
        let rests = |range: &Ipv4Net| kept.iter().any(|subnet| overlap(range, subnet));
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        // After the one that was handed out last, so that one which rests is seldom met.
        let (used, next) = &mut *taken;
        let (number, range) = (0..RANGES)
            .map(|step| (*next + step) % RANGES)
            .map(|number| (number, block.range(number)))
            .find(|(number, range)| !used.contains(number) && !rests(range))
            .context("every range of subnets is taken, or kept by the node")?;
        used.insert(number);
        *next = (number + 1) % RANGES;
        Ok(Self { range, number })
    }

    /// The range.
    pub const fn range(&self) -> Ipv4Net {
        self.range
    }
}

impl Drop for Subnets {
    fn drop(&mut self) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&self.number);
    }
}

/// A block of ranges that is this process's as long as its connection lives.
struct Block {
    number: u32,
    _held: Connection,
}

impl Block {
    fn range(&self, number: u32) -> Ipv4Net {
        let index = self.number * RANGES + number;
        let address = Ipv4Addr::from(u32::from(ALL) + (index << (32 - PREFIX)));
        Ipv4Net::new_assert(address, PREFIX)
    }

    async fn hold() -> Result<Self> {
        let database = Database::new(environment().admin_url.clone().into(), 1)?;
        let mut held = database.connection().await?;
        for step in 0..BLOCKS {
            let number = (std::process::id() + step) % BLOCKS;
            if sql::lock_try(&mut held, LOCK, number).await? {
                return Ok(Self { number, _held: held });
            }
        }
        bail!("{BLOCKS} test processes run already")
    }
}

/// The subnets of every network that the node has, those that are gone from the swarm included.
async fn kept_by_the_node() -> Result<Vec<Ipv4Net>> {
    let networks = Engine::connect()?.get("/networks").await?;
    let configs =
        list(&networks, "")?.iter().filter_map(|network| network["IPAM"]["Config"].as_array());
    let subnets = configs.flatten().filter_map(|config| config["Subnet"].as_str());
    // What is no IPv4 network overlaps none of ours.
    Ok(subnets.filter_map(|subnet| subnet.parse().ok()).collect())
}

fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}
