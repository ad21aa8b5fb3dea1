//! The deployment ledger, as the orchestrator needs it: a trait over what `db::ledger` and `db::work`
//! do, so that a drive can be tried against a ledger in memory, thousands of times and without
//! Postgres. Decides nothing: the rules are in `db`, and the twin is held to them by a contract.

use std::future::Future;

use chrono::{DateTime, Utc};
use db::Database;
use db::ledger::{
    Claim, Marks, Transition, deployment_claim_next, ledger_hand_over, ledger_mark, ledger_read,
    ledger_renew, ledger_transition,
};
use db::work::{Work, release_resolve, work_read};
use model::Result;
use model::deployment::Deployment;
use model::id::{DeploymentId, ReleaseId, WorkerId};
use model::release::Release;
use model::status::Status;

/// Who drives which deployment, and how far it is. Every write is compare-and-set.
///
/// An error means that it is not known whether the write was made: every call may be made again.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// Claims the next deployment: one whose worker died, else a queued one. `None`: nothing to do.
    fn claim_next(&self, worker: WorkerId) -> impl Future<Output = Result<Option<Claim>>> + Send;

    /// Renews a lease. False: the claim is not ours any more.
    fn renew(&self, claim: Claim) -> impl Future<Output = Result<bool>> + Send;

    /// Gives a worker's leases up at once, and wakes another one for each. Returns how many.
    fn hand_over(&self, worker: WorkerId) -> impl Future<Output = Result<usize>> + Send;

    /// The deployment as it stands, with the ledger's clock; `None`: the claim is not ours any more.
    fn read(
        &self,
        claim: Claim,
    ) -> impl Future<Output = Result<Option<(Deployment, DateTime<Utc>)>>> + Send;

    /// Everything that is needed to drive a deployment.
    fn work(&self, deployment: DeploymentId) -> impl Future<Output = Result<Work>> + Send;

    /// Writes down which image a release runs, once, and returns the release as it then is.
    fn resolve(
        &self,
        release: ReleaseId,
        image: &str,
    ) -> impl Future<Output = Result<Release>> + Send;

    /// Makes a step, if the deployment is still in `from` and the claim still ours. False: it is
    /// not, and nothing was written.
    fn transition(
        &self,
        claim: Claim,
        from: Status,
        transition: &Transition,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Stamps moments without a step. False: the claim is not ours any more.
    fn mark(&self, claim: Claim, marks: Marks) -> impl Future<Output = Result<bool>> + Send;
}

impl Ledger for Database {
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Claim>> {
        deployment_claim_next(self, worker).await
    }

    async fn renew(&self, claim: Claim) -> Result<bool> {
        ledger_renew(self, claim).await
    }

    async fn hand_over(&self, worker: WorkerId) -> Result<usize> {
        ledger_hand_over(self, worker).await
    }

    async fn read(&self, claim: Claim) -> Result<Option<(Deployment, DateTime<Utc>)>> {
        ledger_read(self, claim).await
    }

    async fn work(&self, deployment: DeploymentId) -> Result<Work> {
        work_read(self, deployment).await
    }

    async fn resolve(&self, release: ReleaseId, image: &str) -> Result<Release> {
        release_resolve(self, release, image).await
    }

    async fn transition(
        &self,
        claim: Claim,
        from: Status,
        transition: &Transition,
    ) -> Result<bool> {
        ledger_transition(self, claim, from, transition).await
    }

    async fn mark(&self, claim: Claim, marks: Marks) -> Result<bool> {
        ledger_mark(self, claim, marks).await
    }
}
