//! Rates: how many requests a minute are taken of one token, in classes by what they cost. Counting is the API's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

/// The plan by whose rates who operates the platform is served.
pub const OPERATORS_PLAN: &str = "operators";
/// Seconds that a rate is of: a minute of the clock.
pub const WINDOW_SECONDS: u64 = 60;

text_enum! {
    /// What requests cost. Each is of one class.
    pub enum RateClass {
        /// What reads and writes Postgres.
        General => "general",
        /// What has workers act on the swarm, or ask others.
        Operations => "operations",
        /// What gathers a lot at once.
        Aggregations => "aggregations",
    }
}

impl RateClass {
    /// Requests a minute, where nothing else is said (the seeds' numbers).
    pub const fn standard(self) -> u32 {
        match self {
            Self::General => 100,
            Self::Operations => 20,
            Self::Aggregations => 10,
        }
    }
}

/// Requests a minute of each class; of one that is not in it, the standard rate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rates(BTreeMap<RateClass, u32>);

impl Rates {
    /// What was said of this class.
    pub fn said(&self, class: RateClass) -> Option<u32> {
        self.0.get(&class).copied()
    }

    /// Requests a minute of this class.
    pub fn of(&self, class: RateClass) -> u32 {
        self.said(class).unwrap_or(class.standard())
    }
}

impl FromIterator<(RateClass, u32)> for Rates {
    fn from_iter<I: IntoIterator<Item = (RateClass, u32)>>(rates: I) -> Self {
        Self(rates.into_iter().collect())
    }
}
