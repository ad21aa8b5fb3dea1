//! Exceptions: what an operator may let one organization have beyond the policy, by name. Each widens one
//! rule; none reaches the host, a foreign network, or what the platform keeps for itself.

use crate::text_enum::text_enum;

text_enum! {
    /// A rule that is wider for an organization.
    pub enum PolicyException {
        /// Replicas of up to 64 cores and 256 GB of memory.
        LargeReplicas => "large_replicas",
        /// Placement by the names of nodes: `node.hostname==…`.
        NamedNodes => "named_nodes",
    }
}

/// The exceptions of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exceptions(u8);

const _: () = assert!(PolicyException::ALL.len() <= 8, "a set of exceptions is one byte");

impl Exceptions {
    /// None: the policy as it is.
    pub const NONE: Self = Self(0);

    /// Whether this one is among them.
    pub const fn have(self, exception: PolicyException) -> bool {
        self.0 & bit(exception) != 0
    }
}

impl<'a> FromIterator<&'a PolicyException> for Exceptions {
    fn from_iter<I: IntoIterator<Item = &'a PolicyException>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |set, one| set | bit(*one)))
    }
}

const fn bit(exception: PolicyException) -> u8 {
    1 << exception as u8
}
