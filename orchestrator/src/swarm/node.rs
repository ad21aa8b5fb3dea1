//! A node of the swarm, as its scheduler weighs it: what it is, what it has, and what of that is
//! promised already. Read-only.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// CPU and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// In billionths of a core.
    pub cpu_nanos: i64,
    /// In bytes.
    pub memory_bytes: i64,
}

impl Resources {
    /// What is left of these when `taken` is gone.
    pub const fn less(self, taken: Self) -> Self {
        Self {
            cpu_nanos: self.cpu_nanos.saturating_sub(taken.cpu_nanos),
            memory_bytes: self.memory_bytes.saturating_sub(taken.memory_bytes),
        }
    }

    /// Both together.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu_nanos: self.cpu_nanos.saturating_add(other.cpu_nanos),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    /// Whether `wanted` fits in.
    pub const fn hold(self, wanted: Self) -> bool {
        self.cpu_nanos >= wanted.cpu_nanos && self.memory_bytes >= wanted.memory_bytes
    }
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Swarm's id.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// Its own address, as the other nodes reach it.
    pub address: Option<Ipv4Addr>,
    /// Whether it is up and takes new tasks.
    pub is_available: bool,
    /// Whether it is a manager.
    pub is_manager: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its operating system, in Docker's word.
    pub os: String,
    /// Its architecture, in Docker's word.
    pub arch: String,
    /// What it has.
    pub capacity: Resources,
    /// What the tasks that Swarm wants on it have reserved: only this counts for the scheduler, whatever
    /// they use.
    pub reserved: Resources,
}

impl Node {
    /// What a new task may still reserve on it.
    pub const fn free(&self) -> Resources {
        self.capacity.less(self.reserved)
    }

    /// Whether it satisfies a placement constraint, as SwarmKit compares: without regard to case, and a
    /// label that is not there is empty. A constraint of a kind that Skep never writes is satisfied.
    pub fn satisfies(&self, constraint: &str) -> bool {
        let (key, value, wanted) = match (constraint.split_once("!="), constraint.split_once("=="))
        {
            (Some((key, value)), _) => (key.trim(), value.trim(), false),
            (None, Some((key, value))) => (key.trim(), value.trim(), true),
            (None, None) => return true,
        };
        let role = if self.is_manager { "manager" } else { "worker" };
        let is = match (key.strip_prefix("node.labels."), key) {
            (Some(label), _) => self.labels.get(label).map_or("", String::as_str),
            (None, "node.role") => role,
            (None, "node.platform.os") => &self.os,
            (None, "node.platform.arch") => &self.arch,
            _ => return true,
        };
        is.eq_ignore_ascii_case(value) == wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_compared_as_swarmkit_does() {
        let node = Node {
            labels: BTreeMap::from([("disk".into(), "SSD".into())]),
            os: "linux".into(),
            arch: "x86_64".into(),
            ..Node::default()
        };
        for satisfied in [
            "node.labels.disk==ssd",
            "node.labels.disk != hdd",
            "node.labels.gpu!=none",
            "node.role==worker",
            "node.platform.os==linux",
        ] {
            assert!(node.satisfies(satisfied), "{satisfied}");
        }
        for unsatisfied in [
            "node.labels.gpu==any",
            "node.labels.disk!=ssd",
            "node.role != worker",
            "node.platform.arch==aarch64",
        ] {
            assert!(!node.satisfies(unsatisfied), "{unsatisfied}");
        }
    }
}
