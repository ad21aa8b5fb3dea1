//! Agreement: what the API said, held against Docker and Postgres. Each difference ends the story
//! with a sentence that names both sides.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use model::app_status::Health;
use model::names;
use model::reason::ReasonCode;
use model::status::Status;
use tokio::time::sleep;

use crate::answers::{App, Deployment, Live, Release};
use crate::docker::{Overlay, Replica, Service, Witness};
use crate::ledger::Ledger;
use crate::tenant::TenantApp;

/// The projection of live status sweeps every ten seconds, should all events be lost.
const PROJECTION: Duration = Duration::from_secs(15);

/// The witnesses.
pub(crate) struct Witnesses {
    pub(crate) docker: Witness,
    pub(crate) ledger: Ledger,
}

/// What all three agree on.
pub(crate) struct Agreed {
    pub(crate) live: Live,
    pub(crate) release: Release,
    pub(crate) service: Service,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) overlay: Overlay,
    /// Newest first.
    pub(crate) deployments: Vec<Deployment>,
}

impl Witnesses {
    /// Holds what the API says of an app against Docker and Postgres, live status included: a worker
    /// projects that a moment later.
    pub(crate) async fn agree_and_show(&self, app: &TenantApp<'_>) -> Result<Agreed> {
        let agreed = self.agree(app).await?;
        shown(&app.name(), app, agreed.live).await?;
        Ok(agreed)
    }

    /// Holds what the API says of an app against Docker and Postgres.
    pub(crate) async fn agree(&self, app: &TenantApp<'_>) -> Result<Agreed> {
        let name = app.name();
        let told = app.get().await?;
        let live =
            told.live.with_context(|| format!("the API says that nothing of {name} is live"))?;
        let release = app.release(live.release).await?;
        let deployments = app.deployments().await?;
        let (service, replicas) = self.service(&name, &told, live, &release).await?;
        written_by(&name, &deployments, &service)?;
        let overlay = self.network(&name, app, &service).await?;
        self.rows(&name, app, live, &release, &deployments).await?;
        Ok(Agreed { live, release, service, replicas, overlay, deployments })
    }

    /// The service carries the live release and runs it.
    async fn service(
        &self,
        name: &str,
        told: &App,
        live: Live,
        release: &Release,
    ) -> Result<(Service, Vec<Replica>)> {
        let service = self.docker.service(told.id).await?;
        let service = service.with_context(|| {
            format!(
                "the API says that {name} runs v{}, and Docker has no service of it",
                live.release
            )
        })?;
        let carried = service.labels.get(names::LABEL_RELEASE);
        ensure!(
            carried == Some(&release.id.to_string()),
            "the API says that v{} ({}) of {name} is live, and the service {} in Docker carries {}",
            live.release,
            release.id,
            service.name,
            carried.map_or("no release", String::as_str)
        );
        let image = release.resolved_image.as_deref().unwrap_or("no image at all");
        ensure!(
            service.image == image,
            "the API says that {name} runs {image}, and the service {} in Docker runs {}",
            service.name,
            service.image
        );
        ensure!(
            service.replicas == i64::from(live.replicas),
            "the API says that {name} has {} replicas, and the service {} in Docker has {}",
            live.replicas,
            service.name,
            service.replicas
        );
        let replicas = self.docker.running(&service.id).await?;
        let right = replicas.iter().filter(|replica| replica.image == image).count();
        ensure!(
            i32::try_from(right) == Ok(live.replicas) && right == replicas.len(),
            "the API says that {} replicas of {name} run v{}, and in Docker {} tasks run, {right} of \
             them with its image",
            live.replicas,
            live.release,
            replicas.len()
        );
        Ok((service, replicas))
    }

    /// The service is on its environment's network and on no other, and the network is as promised.
    async fn network(&self, name: &str, app: &TenantApp<'_>, service: &Service) -> Result<Overlay> {
        let promised = &app.tenant.environment.network;
        let overlay = self.docker.overlay(&promised.name).await?;
        ensure!(
            service.networks == [overlay.id.clone()],
            "{name} should be on the network {} and no other, and Docker has it on {}",
            promised.name,
            service.networks.join(", ")
        );
        ensure!(
            overlay.driver == "overlay" && overlay.encrypted,
            "the network {} of {name} should be an encrypted overlay, and in Docker it is not \
             (driver {}, encrypted: {})",
            promised.name,
            overlay.driver,
            overlay.encrypted
        );
        let written = self.ledger.subnet(app.tenant.environment.id).await?;
        ensure!(
            written == promised.subnet && overlay.subnets == [promised.subnet.to_string()],
            "the API says that the network of {name} is {}, Postgres says {written}, Docker says {}",
            promised.subnet,
            overlay.subnets.join(", ")
        );
        Ok(overlay)
    }

    /// The rows tell the same live release and the same verdicts.
    async fn rows(
        &self,
        name: &str,
        app: &TenantApp<'_>,
        live: Live,
        release: &Release,
        deployments: &[Deployment],
    ) -> Result<()> {
        let row = self.ledger.app(app.id).await?;
        ensure!(
            row.live_release_id == Some(release.id) && row.live_replicas == Some(live.replicas),
            "the API says that {} replicas of {} are live in {name}, and Postgres has {:?} of {:?}",
            live.replicas,
            release.id,
            row.live_replicas,
            row.live_release_id
        );
        let rows = self.ledger.deployments(app.id).await?;
        ensure!(
            rows.len() == deployments.len(),
            "the API tells {} deployments of {name}, and Postgres has {}",
            deployments.len(),
            rows.len()
        );
        for ((row, number), told) in rows.iter().zip(deployments) {
            let reason = told.reason.as_ref();
            let same = row.id == told.id
                && row.kind == told.kind
                && row.status == told.status
                && row.reason_code == reason.map(|reason| reason.code)
                && row.reason.as_deref() == reason.map(|reason| reason.sentence.as_str())
                && *number == told.release;
            ensure!(
                same,
                "the API says that {} of {name} is a {} of v{:?} that is {}, and Postgres has {}, a {} \
                 of v{number:?} that is {}",
                told.id,
                told.kind,
                told.release,
                told.status,
                row.id,
                row.kind,
                row.status
            );
        }
        Ok(())
    }
}

/// Of a deployment that went live, the service carries the label: nobody wrote over it since.
fn written_by(name: &str, deployments: &[Deployment], service: &Service) -> Result<()> {
    let Some(newest) = deployments.first() else {
        bail!("{name} runs, and the API tells no deployment of it");
    };
    let went_live = newest.status == Status::Succeeded
        && newest.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::Live);
    let label = service.labels.get(names::LABEL_DEPLOYMENT);
    ensure!(
        !went_live || label == Some(&newest.id.to_string()),
        "the API says that {} of {name} went live, and the service {} in Docker was written by {}",
        newest.id,
        service.name,
        label.map_or("nobody", String::as_str)
    );
    Ok(())
}

/// The live status that the API shows is the one that is live, soon.
async fn shown(name: &str, app: &TenantApp<'_>, live: Live) -> Result<()> {
    let started = Instant::now();
    let wanted = if live.replicas == 0 { Health::Stopped } else { Health::Healthy };
    loop {
        let seen = app.get().await?.status;
        let right = seen.as_ref().is_some_and(|seen| {
            seen.health == wanted
                && seen.release == Some(live.release)
                && seen.running == live.replicas
        });
        if right {
            return Ok(());
        }
        ensure!(
            started.elapsed() < PROJECTION,
            "{name} runs {} replicas of v{} in Docker, and after {} s the API still shows {seen:?}",
            live.replicas,
            live.release,
            PROJECTION.as_secs()
        );
        sleep(Duration::from_millis(250)).await;
    }
}
