//! The deployment state machine: the statuses, and which may follow which. One machine serves
//! every kind; a transition outside this table is refused before it reaches Postgres.

use crate::text_enum::text_enum;

text_enum! {
    /// Where a deployment is on its way to a verdict.
    pub enum Status {
        /// Accepted and waiting for a worker.
        Queued => "queued",
        /// A worker prepares what the service needs: digest, network, probe.
        Provisioning => "provisioning",
        /// The service carries our spec; Swarm is replacing tasks.
        Updating => "updating",
        /// Every replica runs; the window is being watched.
        Verifying => "verifying",
        /// The old release is being brought back, by Swarm or by us.
        RollingBack => "rolling_back",
        /// What was asked for is live, and was healthy through the window.
        Succeeded => "succeeded",
        /// The old release is live again, verified.
        RolledBack => "rolled_back",
        /// Nothing of this deployment is live: what was live before was not touched, or there was
        /// nothing to go back to and the release was stopped. A repair that failed: what should be live
        /// is in place and does not run.
        Failed => "failed",
        /// Withdrawn by its owner before it changed anything that stays.
        Canceled => "canceled",
        /// A newer deployment of the same app took over.
        Superseded => "superseded",
        /// Neither on nor back was possible: an operator is needed.
        Stuck => "stuck",
    }
}

impl Status {
    /// The statuses in which a worker holds the lease and drives Swarm.
    pub const DRIVING: &'static [Self] =
        &[Self::Provisioning, Self::Updating, Self::Verifying, Self::RollingBack];

    /// True for the statuses that never change again.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Queued
            | Self::Provisioning
            | Self::Updating
            | Self::Verifying
            | Self::RollingBack => false,
            Self::Succeeded
            | Self::RolledBack
            | Self::Failed
            | Self::Canceled
            | Self::Superseded
            | Self::Stuck => true,
        }
    }

    /// The statuses that may come next.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Queued => &[Self::Provisioning, Self::Canceled, Self::Superseded],
            Self::Provisioning => &[
                Self::Updating,
                Self::RollingBack,
                Self::Succeeded,
                Self::Failed,
                Self::Canceled,
                Self::Superseded,
                Self::Stuck,
            ],
            // Back to `updating` from `verifying`: a replica was lost within the window.
            Self::Updating => &[
                Self::Verifying,
                Self::RollingBack,
                Self::Succeeded,
                Self::Failed,
                Self::Canceled,
                Self::Superseded,
                Self::Stuck,
            ],
            Self::Verifying => &[
                Self::Updating,
                Self::RollingBack,
                Self::Succeeded,
                Self::Failed,
                Self::Canceled,
                Self::Superseded,
                Self::Stuck,
            ],
            Self::RollingBack => {
                &[Self::RolledBack, Self::Failed, Self::Canceled, Self::Superseded, Self::Stuck]
            }
            Self::Succeeded
            | Self::RolledBack
            | Self::Failed
            | Self::Canceled
            | Self::Superseded
            | Self::Stuck => &[],
        }
    }

    /// Whether `next` may follow this status.
    pub fn may_become(self, next: Self) -> bool {
        self.next().contains(&next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_can_end_and_no_end_goes_on() {
        for status in Status::ALL {
            assert_eq!(status.is_terminal(), status.next().is_empty(), "{status}");
            if !status.is_terminal() {
                assert!(status.next().iter().any(|next| next.is_terminal()), "{status}");
                assert!(status.may_become(Status::Superseded), "{status}");
            }
        }
    }

    #[test]
    fn driving_is_every_status_between_queued_and_an_end() {
        for status in Status::ALL {
            let between = !status.is_terminal() && *status != Status::Queued;
            assert_eq!(Status::DRIVING.contains(status), between, "{status}");
        }
    }
}
