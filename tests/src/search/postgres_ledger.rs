//! A story's ledger in Postgres: production's functions, with production's roles, at the story's time.
//!
//! The story's thread waits while a call is made, so its clock stands still and nobody else of the
//! story acts: the order of calls is the seed's, as on the twin. What two transactions do to each
//! other at once is therefore not seen here, but in `tests/integration`.

use std::sync::{Arc, mpsc};

use anyhow::Result as Answer;
use chrono::{DateTime, Utc};
use db::deployments::DeploymentRequest;
use db::ledger::{Claim, Marks, Transition};
use db::work::Work;
use diesel::prelude::*;
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::Result;
use model::app::App;
use model::deployment::{Deployment, DeploymentEvent};
use model::id::{AppId, DeploymentId, OrganizationId, ReleaseId, WorkerId};
use model::release::Release;
use model::schema::{
    apps, deployment_events, deployment_evidence, deployments, organization_quotas, releases,
};
use model::spec::AppSpec;
use model::status::Status;
use orchestrator::Ledger;
use uuid::Uuid;

use super::story_database::StoryDatabase;
use super::story_ledger::{REPAIR, StoryLedger};
use crate::contract::ledger::{Home, Stage as _};
use crate::run::runtime;
use crate::twin::clock::Clock;
use crate::twin::ledger::{HeldLease, Used};

/// The ledger of one story.
#[derive(Clone)]
pub(super) struct PostgresLedger {
    database: Arc<StoryDatabase>,
    clock: Clock,
}

impl PostgresLedger {
    pub(super) const fn new(database: Arc<StoryDatabase>, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// Makes a call, and holds the story's thread until it has ended.
    #[expect(clippy::panic, reason = "without its database there is no story to go on with")]
    fn call<T, F>(&self, call: impl FnOnce(Arc<StoryDatabase>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let (sender, answer) = mpsc::channel();
        let call = call(Arc::clone(&self.database));
        runtime().spawn(async move {
            // Refused only where the story's thread is gone, and nobody waits.
            let _ = sender.send(call.await);
        });
        match answer.recv() {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => panic!("the story's database does not answer: {error:?}"),
            Err(_) => panic!("a call of the ledger panicked"),
        }
    }

    /// The same, at the story's time: for whatever asks Postgres for it.
    fn call_now<T, F>(&self, call: impl FnOnce(Arc<StoryDatabase>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let now = self.clock.now();
        self.call(|database| {
            let call = call(Arc::clone(&database));
            async move {
                database.show(now).await?;
                call.await
            }
        })
    }

    /// What a query finds.
    fn rows<T, Q>(&self, query: Q) -> Vec<T>
    where
        T: Send + 'static,
        Q: LoadQuery<'static, AsyncPgConnection, T> + Send + 'static,
    {
        self.call(async move |database| {
            let mut connection = database.owner().connection().await?;
            Ok(query.load(&mut connection).await?)
        })
    }
}

impl Ledger for PostgresLedger {
    async fn claim_next(&self, worker: WorkerId) -> Result<Option<Claim>> {
        self.call_now(async move |database| Ok(database.worker().claim_next(worker).await))
    }

    async fn renew(&self, claim: Claim) -> Result<bool> {
        self.call_now(async move |database| Ok(database.worker().renew(claim).await))
    }

    async fn hand_over(&self, worker: WorkerId) -> Result<usize> {
        self.call_now(async move |database| Ok(database.worker().hand_over(worker).await))
    }

    async fn read(&self, claim: Claim) -> Result<Option<(Deployment, DateTime<Utc>)>> {
        self.call_now(async move |database| Ok(database.worker().read(claim).await))
    }

    async fn work(&self, deployment: DeploymentId) -> Result<Work> {
        self.call_now(async move |database| Ok(database.worker().work(deployment).await))
    }

    async fn resolve(&self, release: ReleaseId, image: &str) -> Result<Release> {
        let image = image.to_owned();
        self.call_now(async move |database| Ok(database.worker().resolve(release, &image).await))
    }

    async fn transition(
        &self,
        claim: Claim,
        from: Status,
        transition: &Transition,
    ) -> Result<bool> {
        let transition = transition.clone();
        self.call_now(async move |database| {
            Ok(database.worker().transition(claim, from, &transition).await)
        })
    }

    async fn mark(&self, claim: Claim, marks: Marks) -> Result<bool> {
        self.call_now(async move |database| Ok(database.worker().mark(claim, marks).await))
    }
}

impl StoryLedger for PostgresLedger {
    fn home(&self) -> Home {
        self.call_now(async move |database| {
            let slug = format!("org-{}", Uuid::now_v7());
            database.stage.organization(&slug).await
        })
    }

    fn app_create(&self, home: Home, slug: &str, spec: AppSpec, replicas: i32) -> Result<AppId> {
        let slug = slug.to_owned();
        self.call_now(async move |database| {
            Ok(database.stage.app_create(home, &slug, spec, replicas).await)
        })
    }

    fn accept(&self, app: AppId, request: &DeploymentRequest) -> Result<()> {
        let request = request.clone();
        self.call_now(async move |database| {
            Ok(database.stage.accept(app, &request).await.map(drop))
        })
    }

    fn cancel(&self, app: AppId, deployment: DeploymentId) -> Result<()> {
        self.call_now(async move |database| Ok(database.stage.cancel(app, deployment).await))
    }

    fn repair(&self, app: AppId) -> Result<()> {
        let live_version = self.app(app).and_then(|app| app.live_version);
        self.call_now(async move |database| {
            Ok(database.stage.repair(app, live_version, REPAIR).await.map(drop))
        })
    }

    fn wakeups(&self) -> Vec<DeploymentId> {
        self.call(async move |database| database.stage.wakeups().await)
    }

    fn apps(&self) -> Vec<App> {
        self.rows(apps::table.order(apps::id).select(App::as_select()))
    }

    fn app(&self, id: AppId) -> Option<App> {
        self.rows(apps::table.find(id).select(App::as_select())).pop()
    }

    fn release(&self, id: ReleaseId) -> Option<Release> {
        self.rows(releases::table.find(id).select(Release::as_select())).pop()
    }

    fn deployments(&self) -> Vec<Deployment> {
        self.rows(deployments::table.order(deployments::id).select(Deployment::as_select()))
    }

    fn deployment(&self, id: DeploymentId) -> Option<Deployment> {
        self.rows(deployments::table.find(id).select(Deployment::as_select())).pop()
    }

    fn events(&self) -> Vec<DeploymentEvent> {
        let events = deployment_events::table.order(deployment_events::id);
        self.rows(events.select(DeploymentEvent::as_select()))
    }

    fn has_evidence(&self, deployment: DeploymentId) -> bool {
        let evidence = deployment_evidence::table.find(deployment);
        !self
            .rows::<DeploymentId, _>(evidence.select(deployment_evidence::deployment_id))
            .is_empty()
    }

    fn used(&self, organization: OrganizationId) -> Used {
        let row = organization_quotas::table.find(organization).select((
            organization_quotas::used_cpu_millis,
            organization_quotas::used_memory_mb,
            organization_quotas::used_disk_gb,
            organization_quotas::used_replicas,
        ));
        self.rows(row).pop().unwrap_or_default()
    }

    fn unfinished(&self) -> usize {
        let unfinished = deployments::table.filter(deployments::finished_at.is_null());
        self.rows::<DeploymentId, _>(unfinished.select(deployments::id)).len()
    }

    fn leases(&self) -> Vec<HeldLease> {
        let driving = deployments::table
            .filter(deployments::status.eq_any(Status::DRIVING))
            .order(deployments::id)
            .select(Deployment::as_select());
        self.rows(driving).iter().filter_map(HeldLease::of).collect()
    }
}
