//! Marks: the name of one test's installation. It tells which process made the things that carry
//! it, so that what a killed run left behind can be swept, and nothing else.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Error, ensure};
use sha2::{Digest, Sha256};

/// `test-{machine}-{process}-{number}`: fits a platform's name, a queue's and a database's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    machine: String,
    process: u32,
    number: u32,
}

impl Mark {
    /// A mark that no other test has.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self {
            machine: machine().to_owned(),
            process: std::process::id(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether whoever made this mark is gone. Another machine's processes cannot be looked at, so
    /// they are never said to be.
    pub fn is_left_over(&self) -> bool {
        self.machine == machine() && !Path::new(&format!("/proc/{}", self.process)).exists()
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "test-{}-{}-{}", self.machine, self.process, self.number)
    }
}

impl FromStr for Mark {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.strip_prefix("test-").context("not a test's")?.split('-');
        let mut part = || parts.next().context("not a mark");
        let (machine, process, number) = (part()?, part()?, part()?);
        ensure!(parts.next().is_none(), "not a mark");
        Ok(Self { machine: machine.into(), process: process.parse()?, number: number.parse()? })
    }
}

/// Four hexadecimal digits of this machine.
fn machine() -> &'static str {
    static MACHINE: LazyLock<String> = LazyLock::new(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        hex::encode(&Sha256::digest(name.trim())[..2])
    });
    &MACHINE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_its_process_is_there() {
        let mark = Mark::new();
        assert_eq!(mark.to_string().parse::<Mark>().unwrap(), mark);
        assert!(!mark.is_left_over());
        assert!(mark.to_string().len() <= 30, "a platform's name has at most 30 characters");
        for other in ["test", "dev-f2af6c09", "test-ab-c-1", "test-abcd-1-1-1"] {
            assert!(other.parse::<Mark>().is_err(), "{other}");
        }
    }
}
