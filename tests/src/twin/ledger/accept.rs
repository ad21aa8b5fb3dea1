//! What the API writes: apps, and deployments of them.

use db::deployments::DeploymentRequest;
use model::app::{App, MAX_REPLICAS};
use model::capacity::{Need, Reserved};
use model::deployment::{Deployment, Kind};
use model::error::ErrorCode;
use model::id::{AppId, DeploymentId, EnvironmentId, ReleaseId};
use model::policy::Exceptions;
use model::reason::ReasonCode;
use model::release::{Release, RollbackTarget};
use model::spec::AppSpec;
use model::status::Status;
use model::stored::Stored;
use model::{Error, Result, names, policy};

use super::rows::{Rows, is_driving};

/// What a new deployment makes live.
struct Target {
    release: Option<ReleaseId>,
    replicas: i32,
    spec_version: i16,
    /// What it may need, which is kept.
    need: Reserved,
}

impl Rows {
    pub(super) fn app_create(
        &mut self,
        environment: EnvironmentId,
        slug: &str,
        spec: AppSpec,
        replicas: i32,
    ) -> Result<App> {
        let spec = spec.settled(&self.platform);
        policy::admit(&spec, Exceptions::NONE)?;
        countable(replicas)?;
        let network = self.networks.get(&environment);
        let organization_id =
            network.ok_or_else(|| Error::not_found("environment"))?.organization_id;
        let taken = |app: &App| {
            app.environment_id == environment && app.slug == slug && app.removed_at.is_none()
        };
        if self.apps.values().any(taken) {
            let sentence = format!("an app {slug} exists in this environment; choose another slug");
            return Err(Error::new(ErrorCode::AlreadyExists, sentence));
        }
        let (id, now) = (self.id(), self.now());
        let app = App {
            id,
            organization_id,
            environment_id: environment,
            slug: slug.to_owned(),
            service_name: names::service_name(slug, id),
            spec_version: spec.version(),
            spec: Stored(spec),
            replicas,
            last_release: 0,
            live_release_id: None,
            live_restart_counter: 0,
            live_replicas: None,
            live_version: None,
            reserved: Reserved::default(),
            stopped_at: None,
            removal_requested_at: None,
            removed_at: None,
            created_at: now,
            updated_at: now,
        };
        self.apps.insert(id, app.clone());
        Ok(app)
    }

    pub(super) fn app_update(&mut self, app: AppId, spec: AppSpec, replicas: i32) -> Result<App> {
        let mut app = self.app_lock(app)?;
        let spec = spec.settled(&self.platform);
        policy::admit(&spec, Exceptions::NONE)?;
        countable(replicas)?;
        app.spec_version = spec.version();
        app.spec = Stored(spec);
        app.replicas = replicas;
        app.updated_at = self.now();
        self.apps.insert(app.id, app.clone());
        Ok(app)
    }

    pub(super) fn accept(&mut self, app: AppId, request: &DeploymentRequest) -> Result<Deployment> {
        let id = self.id();
        // Changed in here, and written when nothing can be refused any more.
        let mut app = self.app_lock(app)?;
        let older: Vec<Deployment> = self
            .deployments_of(app.id)
            .filter(|one| one.status == Status::Queued || is_driving(one.status))
            .cloned()
            .collect();
        let target = self.target_of(&mut app, request, &older)?;
        countable(target.replicas)?;
        let restart_counter = older
            .iter()
            .map(|older| older.restart_counter)
            .fold(app.live_restart_counter, i64::max)
            + i64::from(request.force());
        let deployment = Deployment {
            release_id: target.release,
            replicas: target.replicas,
            restart_counter,
            force: request.force(),
            spec_version: target.spec_version.max(request.kind().work_version()),
            requested_by: Some(self.token),
            ..self.queued(id, &app, request.kind())
        };
        older.into_iter().for_each(|older| self.supersede(older, id));
        let kept = app.reserved.or_more(target.need);
        self.needs.insert(id, target.need);
        self.apps.insert(app.id, app.clone());
        self.keep(app.id, kept);
        self.deployments.insert(id, deployment.clone());
        self.tell(id, deployment.organization_id, Status::Queued, "accepted".into());
        self.wake(id);
        Ok(deployment)
    }

    /// A deployment as it begins: of what is live, and asked for by nobody.
    pub(super) fn queued(&self, id: DeploymentId, app: &App, kind: Kind) -> Deployment {
        let now = self.now();
        Deployment {
            id,
            organization_id: app.organization_id,
            app_id: app.id,
            release_id: app.live_release_id,
            kind,
            status: Status::Queued,
            reason_code: None,
            reason: None,
            replicas: app.live_replicas.unwrap_or(app.replicas),
            restart_counter: app.live_restart_counter,
            force: false,
            spec_version: kind.work_version(),
            requested_by: None,
            superseded_by: None,
            cancel_requested_at: None,
            fence: 0,
            lease_owner: None,
            lease_expires_at: None,
            started_at: None,
            applied_at: None,
            progressed_at: None,
            healthy_since: None,
            finished_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The app, if it is there and takes changes.
    fn app_lock(&self, id: AppId) -> Result<App> {
        let app = self.apps.get(&id).filter(|app| app.removed_at.is_none());
        let app = app.ok_or_else(|| Error::not_found("app"))?;
        app.takes_changes()?;
        Ok(app.clone())
    }

    /// Ends the older one if it is queued, and asks it to end if it is being driven.
    fn supersede(&mut self, mut older: Deployment, by: DeploymentId) {
        let now = self.now();
        let sentence = format!("the newer deployment {by} takes over");
        older.superseded_by = Some(by);
        older.updated_at = now;
        let message = if older.status == Status::Queued {
            older.status = Status::Superseded;
            older.finished_at = Some(now);
            older.reason_code = Some(ReasonCode::NewerDeployment);
            older.reason = Some(sentence.clone());
            sentence
        } else {
            format!("asked to end: {sentence}")
        };
        self.tell(older.id, older.organization_id, older.status, message);
        self.deployments.insert(older.id, older);
    }

    fn target_of(
        &mut self,
        app: &mut App,
        request: &DeploymentRequest,
        older: &[Deployment],
    ) -> Result<Target> {
        match request {
            DeploymentRequest::Deploy { image, .. } => {
                let mut spec = app.spec.0.clone();
                if let Some(image) = image {
                    spec.image.clone_from(image);
                }
                let frozen = spec.clone().frozen(&self.platform);
                policy::admit(&frozen, Exceptions::NONE)?;
                app.last_release += 1;
                app.spec = Stored(spec);
                app.updated_at = self.now();
                Ok(target_release(&self.freeze(app, frozen), app.running_replicas()))
            }
            DeploymentRequest::Rollback { target, force } => {
                let release = self.older(app, *target).ok_or_else(|| target.missing(app))?;
                release.deployable(app.last_release)?;
                policy::admit(&release.spec.0, Exceptions::NONE)?;
                let another_comes = |live| older.iter().any(|one| one.release_id != Some(live));
                if let Some(live) =
                    app.live_release_id.filter(|live| !force && !another_comes(*live))
                {
                    release.differs_from(self.release(live)?)?;
                }
                Ok(target_release(release, app.running_replicas()))
            }
            DeploymentRequest::Restart => {
                app.started()?;
                Ok(target_release(self.deployed(app, older)?, app.replicas))
            }
            DeploymentRequest::Scale { replicas } => {
                countable(*replicas)?;
                app.started()?;
                app.replicas = *replicas;
                app.updated_at = self.now();
                Ok(target_release(self.deployed(app, older)?, *replicas))
            }
            DeploymentRequest::Stop { .. } => {
                app.stopped_at = app.stopped_at.or(Some(self.now()));
                Ok(target_release(self.deployed(app, older)?, 0))
            }
            DeploymentRequest::Start => {
                app.stopped_at = None;
                Ok(target_release(self.deployed(app, older)?, app.replicas))
            }
            DeploymentRequest::Remove => {
                app.removal_requested_at = Some(self.now());
                app.updated_at = self.now();
                Ok(self.running(app, older)?.map_or(
                    Target { release: None, ..REMOVED },
                    |release| Target {
                        release: Some(release.id),
                        spec_version: release.spec_version,
                        ..REMOVED
                    },
                ))
            }
        }
    }

    /// This spec as the app's newest release.
    fn freeze(&mut self, app: &App, spec: AppSpec) -> Release {
        let (id, now) = (self.id(), self.now());
        let release = Release {
            id,
            organization_id: app.organization_id,
            app_id: app.id,
            number: app.last_release,
            spec_version: spec.version(),
            spec: Stored(spec),
            resolved_image: None,
            stable_at: None,
            created_at: now,
            updated_at: now,
        };
        self.releases.insert(id, release.clone());
        release
    }

    /// The release that a rollback makes live again.
    fn older(&self, app: &App, target: RollbackTarget) -> Option<&Release> {
        let mut of_app = self.releases.values().filter(|release| release.app_id == app.id);
        match target {
            RollbackTarget::Number(number) => of_app.find(|release| release.number == number),
            RollbackTarget::Previous => self.previous(app),
            RollbackTarget::Stable => of_app
                .filter(|release| release.stable_at.is_some())
                .filter(|release| Some(release.id) != app.live_release_id)
                .max_by_key(|release| release.number),
        }
    }

    /// The newest release that a deployment left live, other than the one that is.
    fn previous(&self, app: &App) -> Option<&Release> {
        let live = app.live_release_id?;
        let left_live = |one: &&Deployment| {
            one.status == Status::Succeeded
                && one.kind != Kind::Remove
                && one.reason_code != Some(ReasonCode::Unchanged)
        };
        self.deployments_of(app.id)
            .rev()
            .filter(left_live)
            .filter_map(|one| one.release_id)
            .find(|release| *release != live)
            .and_then(|release| self.releases.get(&release))
    }

    /// The release on its way in, else the live one.
    fn running(&self, app: &App, older: &[Deployment]) -> Result<Option<&Release>> {
        let coming = older
            .iter()
            .filter(|older| older.status != Status::RollingBack)
            .max_by_key(|older| older.id)
            .and_then(|older| older.release_id);
        coming.or(app.live_release_id).map(|id| self.release(id)).transpose()
    }

    /// The same; refused where nothing was deployed.
    fn deployed(&self, app: &App, older: &[Deployment]) -> Result<&Release> {
        self.running(app, older)?.ok_or_else(|| app.nothing_deployed())
    }
}

/// Of an app that is to go, nothing is kept.
const REMOVED: Target =
    Target { release: None, replicas: 0, spec_version: 1, need: Need::NONE.reserved() };

fn target_release(release: &Release, replicas: i32) -> Target {
    Target {
        release: Some(release.id),
        replicas,
        spec_version: release.spec_version,
        need: Need::of(&release.spec.0, replicas).reserved(),
    }
}

/// What Postgres checks of every number of replicas; the API did so before.
fn countable(replicas: i32) -> Result<()> {
    if (0..=MAX_REPLICAS).contains(&replicas) {
        Ok(())
    } else {
        Err(Error::internal(format!("{replicas} replicas")))
    }
}
