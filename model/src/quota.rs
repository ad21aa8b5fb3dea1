//! Quotas: what an organization may use. A plan is a named set of them; an organization has a plan, and may have some of its own in the
//! place of the plan's. Here is only what they are: Postgres counts and refuses, in the transaction that uses (migration `quotas`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::ErrorCode;
use crate::text_enum::text_enum;

/// The plan of organizations that were given no other.
pub const DEFAULT_PLAN: &str = "default";
/// Most plans of an installation.
pub const MAX_PLANS: i64 = 100;

text_enum! {
    /// What is counted. The text names it in plans, answers and errors, and the columns of `organization_quotas`.
    pub enum Quota {
        /// Thousandths of a core, reserved for apps: each replica's limit, those included that run beside others in an update.
        CpuMillis => "cpu_millis",
        /// MB (2^20 bytes) of memory, reserved likewise.
        MemoryMb => "memory_mb",
        /// GB (2^30 bytes) of disk, reserved likewise: accounted, not enforced (Swarm cannot).
        DiskGb => "disk_gb",
        /// Replicas, reserved likewise.
        Replicas => "replicas",
        /// Apps, deployed or not.
        Apps => "apps",
        /// Environments, `production` included.
        Environments => "environments",
        /// Secrets and configs, in all environments.
        Secrets => "secrets",
        /// People in the organization.
        Members => "members",
        /// Tokens of the organization that work.
        Tokens => "tokens",
        /// Deployments that somebody asked for and that bring something up, on one day (UTC).
        DeploymentsPerDay => "deployments_per_day",
    }
}

/// Most of each; of what is not in it, as much as anybody likes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quotas(BTreeMap<Quota, i64>);

impl Quotas {
    /// Most of this; `None`: as much as anybody likes.
    pub fn most(&self, quota: Quota) -> Option<i64> {
        self.0.get(&quota).copied()
    }
}

impl FromIterator<(Quota, i64)> for Quotas {
    fn from_iter<I: IntoIterator<Item = (Quota, i64)>>(quotas: I) -> Self {
        Self(quotas.into_iter().collect())
    }
}

/// What was asked for and would have been more than a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excess {
    /// Of what.
    pub quota: Quota,
    /// What the organization may have.
    pub limit: i64,
    /// What it has.
    pub used: i64,
    /// What was asked for beyond that.
    pub asked: i64,
}

impl From<Excess> for Error {
    fn from(excess: Excess) -> Self {
        let Excess { quota, limit, used, asked } = excess;
        let mend = match quota {
            Quota::DeploymentsPerDay => "wait for the next day (UTC)",
            Quota::CpuMillis | Quota::MemoryMb | Quota::DiskGb | Quota::Replicas => {
                "ask for less, or stop or remove another app"
            }
            Quota::Apps | Quota::Environments | Quota::Secrets | Quota::Members => "remove one",
            Quota::Tokens => "revoke one",
        };
        let message = format!(
            "the organization's quota {quota} is {limit}: it uses {used}, and {asked} more were asked for; {mend}, or have the quota raised"
        );
        let mut error = Self::new(ErrorCode::QuotaExceeded, message);
        error.excess = Some(excess);
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_names_the_quotas() {
        let quotas: Quotas = [(Quota::Apps, 3), (Quota::CpuMillis, 0)].into_iter().collect();
        let json = serde_json::to_value(&quotas).unwrap();
        assert_eq!(json, serde_json::json!({ "cpu_millis": 0, "apps": 3 }));
        assert_eq!(serde_json::from_value::<Quotas>(json).unwrap(), quotas);
        assert_eq!((quotas.most(Quota::Apps), quotas.most(Quota::Tokens)), (Some(3), None));
    }

    #[test]
    fn an_excess_names_quota_limit_use_and_what_was_asked() {
        let excess = Excess { quota: Quota::Replicas, limit: 10, used: 8, asked: 4 };
        let error = Error::from(excess);
        assert_eq!((error.code, error.excess), (ErrorCode::QuotaExceeded, Some(excess)));
        let told = "quota replicas is 10: it uses 8, and 4 more were asked for";
        assert!(error.message.contains(told), "{}", error.message);
    }
}
