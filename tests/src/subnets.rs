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
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        // After the one that was handed out last: a range rests before it is used again. A node
        // keeps a removed network for seconds, and rejects tasks on another one that overlaps.
        let (used, next) = &mut *taken;
        let number = (0..RANGES)
            .map(|step| (*next + step) % RANGES)
            .find(|number| !used.contains(number))
            .context("more tests at once than ranges of subnets")?;
        used.insert(number);
        *next = (number + 1) % RANGES;
        let index = block.number * RANGES + number;
        let address = Ipv4Addr::from(u32::from(ALL) + (index << (32 - PREFIX)));
        Ok(Self { range: Ipv4Net::new(address, PREFIX)?, number })
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
