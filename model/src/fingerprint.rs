//! Fingerprints: by what a service is told from what it was when a verdict, or the platform itself, took it for right. Hashes
//! only: what a part says is a tenant's.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A service at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Swarm's version of it.
    pub version: i64,
    /// A hash of each part of its spec that can be seen, by Docker's name of the part. Without its image, replicas and restart
    /// counter: those are compared as what they are.
    pub parts: BTreeMap<String, String>,
    /// When Swarm began the last update of its tasks, by Swarm's clock; `None` after a creation, and after an update that
    /// changed no task.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Fingerprint {
    /// Docker's names of the parts that are others now.
    pub fn changed_parts<'a>(&'a self, now: &'a Self) -> impl Iterator<Item = &'a str> {
        let other = |(part, hash): &(&String, &String)| now.parts.get(*part) != Some(*hash);
        let gone = self.parts.iter().filter(other);
        let new = now.parts.iter().filter(|(part, _)| !self.parts.contains_key(*part));
        gone.chain(new).map(|(part, _)| part.as_str())
    }

    /// Whether Swarm has begun another update of its tasks since. An update that changes no task makes it forget the last one:
    /// that is no sign of anything.
    pub fn is_before_the_update_of(&self, now: &Self) -> bool {
        now.updated_at.is_some() && now.updated_at != self.updated_at
    }
}
