//! One case of the table: a deployment of v2 over a live v1, told in a builder's words.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use db::ledger::Transition;
use db::work::Work;
use model::app::App;
use model::capacity::Reserved;
use model::deployment::{Deployment, Kind};
use model::health_check::{HealthCheck, HealthTest};
use model::id::{
    AppId, DeploymentId, EnvironmentId, NetworkId, OrganizationId, ReleaseId, TokenId,
};
use model::names;
use model::network::{Network, NetworkAccess};
use model::reason::ReasonCode;
use model::release::Release;
use model::spec::AppSpec;
use model::status::Status;
use model::stored::Stored;
use model::update_policy::UpdatePolicy;

use super::super::super::observation::{Memory, Observation};
use super::super::{Step, plan};
use crate::swarm::{Service, Task, TaskState, UpdateState, UpdateStatus};

pub(super) const REPLICAS: i32 = 2;

/// A deployment of v2 over a live v1, both with two replicas and a window of 5 s.
pub(super) struct Case {
    pub(super) work: Work,
    pub(super) now: DateTime<Utc>,
    pub(super) service: Option<Service>,
    pub(super) tasks: Vec<Task>,
    pub(super) memory: Memory,
}

impl Case {
    pub(super) fn new(status: Status) -> Self {
        let now = Utc::now();
        let (organization, environment, app) =
            (OrganizationId::new(), EnvironmentId::new(), AppId::new());
        let release = |number: i32| {
            let spec = AppSpec {
                update_policy: UpdatePolicy::FAST,
                health_check: Some(HealthCheck {
                    test: HealthTest::Tcp { port: 8080 },
                    port_of_app: false,
                    interval_seconds: 1,
                    timeout_seconds: 1,
                    retries: 3,
                    start_period_seconds: 0,
                }),
                ..AppSpec::of_image(format!("web:v{number}"))
            };
            Release {
                id: ReleaseId::new(),
                organization_id: organization,
                app_id: app,
                number,
                spec: Stored(spec),
                spec_version: 1,
                resolved_image: Some(format!("sha256:{number}")),
                stable_at: Some(now),
                created_at: now,
                updated_at: now,
            }
        };
        let (live, wanted) = (release(1), release(2));
        let deployment = Deployment {
            id: DeploymentId::new(),
            organization_id: organization,
            app_id: app,
            release_id: Some(wanted.id),
            kind: Kind::Deploy,
            status,
            reason_code: None,
            reason: None,
            replicas: REPLICAS,
            restart_counter: 0,
            force: false,
            spec_version: 1,
            requested_by: Some(TokenId::new()),
            superseded_by: None,
            cancel_requested_at: None,
            fence: 1,
            lease_owner: None,
            lease_expires_at: None,
            started_at: Some(now - TimeDelta::seconds(20)),
            applied_at: Some(now - TimeDelta::seconds(19)),
            progressed_at: Some(now - TimeDelta::seconds(19)),
            healthy_since: None,
            finished_at: None,
            created_at: now,
            updated_at: now,
        };
        let app = App {
            id: app,
            organization_id: organization,
            environment_id: environment,
            slug: "web".into(),
            service_name: "web-1".into(),
            spec: wanted.spec.clone(),
            spec_version: 1,
            replicas: REPLICAS,
            last_release: 2,
            live_release_id: Some(live.id),
            live_restart_counter: 0,
            live_replicas: Some(REPLICAS),
            live_version: Some(1),
            reserved: Reserved::default(),
            stopped_at: None,
            removal_requested_at: None,
            removed_at: None,
            created_at: now,
            updated_at: now,
        };
        let network = Network {
            id: NetworkId::new(),
            organization_id: organization,
            environment_id: environment,
            name: "org-1-network".into(),
            subnet: "10.64.0.0/24".parse().unwrap(),
            access: NetworkAccess::Egress,
            encrypted: true,
            retired_at: None,
            reserved_addresses: 0,
            mtu: None,
            created_at: now,
            updated_at: now,
        };
        let work = Work {
            deployment,
            app,
            release: Some(wanted),
            live: Some(live),
            fingerprint: None,
            network,
        };
        let mut memory = Memory::default();
        memory.watching_since = Some(now - TimeDelta::days(1));
        Self { work, now, service: None, tasks: vec![], memory }
    }

    /// The service carries v2, written by this deployment.
    pub(super) fn ours(self, update: Option<UpdateState>) -> Self {
        let (release, id) = (self.work.release.clone().unwrap(), self.work.deployment.id);
        self.carrying(&release, id, "v2", update)
    }

    /// The service carries v1, written by an older deployment.
    pub(super) fn older(self, update: Option<UpdateState>) -> Self {
        let live = self.work.live.clone().unwrap();
        self.carrying(&live, DeploymentId::new(), "v1", update)
    }

    /// The service carries v1 again, written by this deployment on its way back.
    pub(super) fn restored(self, update: Option<UpdateState>) -> Self {
        let (live, id) = (self.work.live.clone().unwrap(), self.work.deployment.id);
        self.carrying(&live, id, "v1", update)
    }

    fn carrying(
        mut self,
        release: &Release,
        deployment: DeploymentId,
        hash: &str,
        update: Option<UpdateState>,
    ) -> Self {
        let labels = [
            (names::LABEL_RELEASE, release.id.to_string()),
            (names::LABEL_DEPLOYMENT, deployment.to_string()),
        ];
        self.service = Some(Service {
            id: "service".into(),
            version: 7,
            labels: labels.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            replicas: REPLICAS,
            image: None,
            spec_hash: Some(hash.into()),
            restart_counter: 0,
            pauses_on_failure: false,
            networks: Vec::new(),
            virtual_address: None,
            parts: BTreeMap::new(),
            update: update.map(|state| UpdateStatus {
                state,
                message: String::new(),
                started_at: None,
            }),
        });
        self
    }

    pub(super) fn task(mut self, slot: i64, hash: &str, state: TaskState) -> Self {
        let desired = if state.is_over() { TaskState::Shutdown } else { TaskState::Running };
        self.tasks.push(Task {
            id: format!("task-{}", self.tasks.len()),
            slot,
            node: None,
            state,
            desired,
            created_at: Some(self.now - TimeDelta::seconds(10)),
            ended_at: None,
            error: None,
            exit_code: None,
            container: None,
            spec_hash: Some(hash.into()),
            restart_counter: 0,
        });
        self
    }

    pub(super) fn two_running(self, hash: &str) -> Self {
        self.task(1, hash, TaskState::Running).task(2, hash, TaskState::Running)
    }

    /// Swarm wants no replica any more; those that run have not ended yet.
    pub(super) fn scaled_to_zero(&mut self) {
        self.service.as_mut().unwrap().replicas = 0;
        self.tasks.iter_mut().for_each(|task| task.desired = TaskState::Removed);
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Work)) -> Self {
        change(&mut self.work);
        self
    }

    /// Call it last: the tasks that run by then are those that are watched.
    pub(super) fn healthy_for(mut self, seconds: i64) -> Self {
        let since = self.now - TimeDelta::seconds(seconds);
        let running = self.tasks.iter().filter(|task| task.state == TaskState::Running);
        self.memory.watched = Some(running.map(|task| task.id.clone()).collect());
        self.with(|work| work.deployment.healthy_since = Some(since))
    }

    pub(super) fn never_live(self) -> Self {
        self.with(|work| {
            work.live = None;
            work.app.live_release_id = None;
        })
    }

    pub(super) fn step(&mut self) -> Step<'_> {
        let seen = Observation {
            deployment: self.work.deployment.clone(),
            now: self.now,
            service: self.service.clone(),
            tasks: self.tasks.clone(),
            memory: &self.memory,
        };
        plan(&self.work, &seen)
    }

    /// The next status with its reason code and whether it says what is live.
    pub(super) fn goes(&mut self) -> Option<(Status, Option<ReasonCode>, bool)> {
        match self.step() {
            Step::Go(Transition { to, reason, live, .. }) => {
                Some((to, reason.map(|reason| reason.code), live.is_some()))
            }
            other => {
                println!("not a transition: {other:?}");
                None
            }
        }
    }

    /// Number of the release and of replicas that is applied.
    pub(super) fn applies(&mut self) -> Option<(i32, i32)> {
        match self.step() {
            Step::Apply(target) => Some((target.release.number, target.replicas)),
            other => {
                println!("not applied: {other:?}");
                None
            }
        }
    }
}
