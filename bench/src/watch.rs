//! Watching one service from outside, in the same way whoever changes it: when it carries a new
//! spec, when every replica of that runs, when Swarm is done.

use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{Service, ServiceUpdateStatusStateEnum, TaskState};
use bollard::query_parameters::{EventsOptionsBuilder, ListTasksOptionsBuilder};
use futures::StreamExt as _;
use model::names;
use tokio::time::{sleep, timeout};

/// How closely a service is watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two looks for replicas, and for the end.
    tasks: Duration,
}

impl Pace {
    /// Of one service alone.
    pub(crate) const CLOSE: Self = Self { tasks: Duration::from_millis(20) };
    /// Of many at once: as often as Skep's worker looks, so that watching costs both the same.
    pub(crate) const MANY: Self = Self { tasks: Duration::from_millis(100) };
}

/// Nothing here takes longer.
const LONGEST: Duration = Duration::from_secs(120);

/// Labels by which a spec and its tasks are recognised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels {
    /// Service label: what wrote the spec.
    pub(crate) deployment: &'static str,
    /// Container label: what makes a task.
    pub(crate) spec: &'static str,
}

/// Skep's own.
pub(crate) const OF_SKEP: Labels =
    Labels { deployment: names::LABEL_DEPLOYMENT, spec: names::LABEL_SPEC };

/// A service being watched.
pub(crate) struct Watched<'a> {
    pub(crate) docker: &'a Docker,
    pub(crate) service: &'a str,
    pub(crate) labels: Labels,
    pub(crate) replicas: i32,
    pub(crate) pace: Pace,
}

impl Watched<'_> {
    /// What wrote its spec; `None`: there is no such service.
    pub(crate) async fn written_by(&self) -> Result<Option<String>> {
        let Some(service) = self.look().await? else { return Ok(None) };
        let labels = service.spec.and_then(|spec| spec.labels).unwrap_or_default();
        Ok(labels.get(self.labels.deployment).cloned())
    }

    /// Waits until something else than `before` has written its spec, since `began`; says what, and when it was told.
    /// Docker tells it by an event: looks every other millisecond would keep the daemon, and everybody else on the
    /// machine, from what is measured.
    pub(crate) async fn spec_changed(
        &self,
        before: Option<&str>,
        began: SystemTime,
    ) -> Result<(String, Instant)> {
        let began = began.duration_since(UNIX_EPOCH)?;
        // What happened before Docker was asked is told too.
        let since = format!("{}.{:09}", began.as_secs(), began.subsec_nanos());
        let wanted = HashMap::from([
            ("type", vec!["service"]),
            ("service", vec![self.service]),
            ("event", vec!["create", "update"]),
        ]);
        let options = EventsOptionsBuilder::new().since(&since).filters(&wanted).build();
        let told = async {
            let mut events = pin!(self.docker.events(Some(options)));
            while let Some(event) = events.next().await {
                event?;
                let at = Instant::now();
                match self.written_by().await? {
                    Some(writer) if before != Some(&*writer) => return Ok((writer, at)),
                    _ => {}
                }
            }
            bail!("Docker tells no more events of {}", self.service)
        };
        timeout(LONGEST, told).await.with_context(|| format!("no new spec of {}", self.service))?
    }

    /// Waits until every replica of its spec runs, and no other task is wanted.
    pub(crate) async fn running(&self) -> Result<()> {
        let started = Instant::now();
        while !self.all_run().await? {
            self.pause(self.pace.tasks, started, "its replicas to run").await?;
        }
        Ok(())
    }

    /// Whether they do.
    pub(crate) async fn all_run(&self) -> Result<bool> {
        let service = self.look().await?.context("the service is gone")?;
        let id = service.id.context("a service has an id")?;
        let template = service.spec.and_then(|spec| spec.task_template);
        let spec = template
            .and_then(|template| template.container_spec?.labels)
            .and_then(|mut labels| labels.remove(self.labels.spec));
        let filter =
            HashMap::from([("service", vec![id.as_str()]), ("desired-state", vec!["running"])]);
        let options = ListTasksOptionsBuilder::new().filters(&filter).build();
        let tasks = self.docker.list_tasks(Some(options)).await?;
        let count = tasks.len();
        let running = tasks.into_iter().filter(|task| {
            let state = task.status.as_ref().and_then(|status| status.state);
            let container = task.spec.as_ref().and_then(|spec| spec.container_spec.as_ref());
            let labels = container.and_then(|container| container.labels.as_ref());
            let own = labels.and_then(|labels| labels.get(self.labels.spec));
            state == Some(TaskState::RUNNING) && own == spec.as_ref()
        });
        let running = running.count();
        Ok(i32::try_from(running) == Ok(self.replicas) && running == count)
    }

    /// Waits until Swarm says that its update is completed.
    pub(crate) async fn completed(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let service = self.look().await?.context("the service is gone")?;
            let state = service.update_status.and_then(|status| status.state);
            ensure!(
                matches!(
                    state,
                    Some(
                        ServiceUpdateStatusStateEnum::UPDATING
                            | ServiceUpdateStatusStateEnum::COMPLETED
                    )
                ),
                "the update of {} is {state:?}",
                self.service
            );
            if state == Some(ServiceUpdateStatusStateEnum::COMPLETED) {
                return Ok(());
            }
            self.pause(self.pace.tasks, started, "its update to complete").await?;
        }
    }

    async fn look(&self) -> Result<Option<Service>> {
        match self.docker.inspect_service(self.service, None).await {
            Ok(service) => Ok(Some(service)),
            Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn pause(&self, pause: Duration, since: Instant, what: &str) -> Result<()> {
        ensure!(
            since.elapsed() < LONGEST,
            "waited {} s for {}: {what}",
            LONGEST.as_secs(),
            self.service
        );
        sleep(pause).await;
        Ok(())
    }
}

/// Milliseconds since then.
pub(crate) fn since(sent: Instant) -> f64 {
    between(sent, Instant::now())
}

/// Milliseconds from one to the other.
pub(crate) fn between(sent: Instant, then: Instant) -> f64 {
    then.duration_since(sent).as_secs_f64() * 1000.0
}
