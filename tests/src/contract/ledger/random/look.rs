//! What can be seen of a history, without ids and without times: the same text on both sides, or the
//! two ledgers disagree.

use std::fmt::Write as _;

use anyhow::Result;
use db::ledger::Claim;
use model::app::App;
use model::deployment::Deployment;
use model::id::{AppId, DeploymentId, WorkerId};
use model::release::Release;

use super::super::Stage;

/// Names of what was made, by when it was made.
pub(super) struct Names {
    pub(super) apps: Vec<AppId>,
    deployments: Vec<DeploymentId>,
}

impl Names {
    pub(super) const fn new(apps: Vec<AppId>) -> Self {
        Self { apps, deployments: Vec::new() }
    }

    /// Names what was accepted.
    pub(super) fn accepted(&mut self, deployment: DeploymentId) {
        self.deployments.push(deployment);
    }

    pub(super) fn app(&self, app: AppId) -> String {
        named("app", self.apps.iter().position(|one| *one == app))
    }

    pub(super) fn of(&self, deployment: DeploymentId) -> String {
        named("d", self.deployments.iter().position(|one| *one == deployment))
    }

    pub(super) fn claim(&self, claim: Claim) -> String {
        format!("{}#{}", self.of(claim.deployment), claim.fence)
    }

    /// A sentence, with names for the ids in it.
    fn sentence(&self, text: &str) -> String {
        self.deployments
            .iter()
            .fold(text.to_owned(), |text, id| text.replace(&id.to_string(), &self.of(*id)))
    }

    /// Everything. Takes the wake-ups away.
    pub(super) async fn look(&self, stage: &impl Stage, workers: &[WorkerId]) -> Result<String> {
        let mut text = String::new();
        for app in &self.apps {
            let (row, releases) = (stage.app(*app).await?, stage.releases(*app).await?);
            self.app_line(&mut text, &row, &releases)?;
            let events = stage.events(*app).await?;
            for deployment in stage.deployments(*app).await? {
                self.deployment_line(&mut text, &deployment, &releases, workers)?;
                if let Some(evidence) = stage.evidence(deployment.id).await? {
                    writeln!(text, "    seen while {}", evidence.stage)?;
                }
                for event in events.iter().filter(|event| event.deployment_id == deployment.id) {
                    writeln!(text, "    {}: {}", event.status, self.sentence(&event.message))?;
                }
            }
        }
        // Two that are handed over at once have no order.
        let mut wakeups: Vec<String> =
            stage.wakeups().await?.into_iter().map(|id| self.of(id)).collect();
        wakeups.sort();
        writeln!(text, "woken: {wakeups:?}")?;
        Ok(text)
    }

    fn app_line(&self, text: &mut String, app: &App, releases: &[Release]) -> std::fmt::Result {
        let live = number(releases, app.live_release_id);
        writeln!(
            text,
            "{} of {} runs {live:?} ×{:?} restarted {}; wants {} ×{}; stopped {}, removal {}, \
             removed {}",
            self.app(app.id),
            app.slug,
            app.live_replicas,
            app.live_restart_counter,
            app.spec.0.image,
            app.replicas,
            app.stopped_at.is_some(),
            app.removal_requested_at.is_some(),
            app.removed_at.is_some(),
        )?;
        for release in releases {
            let (image, stable) = (&release.resolved_image, release.stable_at.is_some());
            let spec = &release.spec.0.image;
            writeln!(text, "  v{} {spec} {image:?}, stable {stable}", release.number)?;
        }
        Ok(())
    }

    fn deployment_line(
        &self,
        text: &mut String,
        deployment: &Deployment,
        releases: &[Release],
        workers: &[WorkerId],
    ) -> std::fmt::Result {
        let reason = deployment.reason.as_deref().map(|reason| self.sentence(reason));
        writeln!(
            text,
            "  {} {} v{:?} ×{} restarted {} forced {}: {} because {:?} {reason:?}, asked by {:?}",
            self.of(deployment.id),
            deployment.kind,
            number(releases, deployment.release_id),
            deployment.replicas,
            deployment.restart_counter,
            deployment.force,
            deployment.status,
            deployment.reason_code,
            deployment.superseded_by.map(|id| self.of(id)),
        )?;
        let owner = deployment.lease_owner;
        writeln!(
            text,
            "    fence {} of {:?}; leased {}, started {}, applied {}, progressed {}, healthy {}, \
             asked to end {}, finished {}",
            deployment.fence,
            owner.and_then(|owner| workers.iter().position(|worker| *worker == owner)),
            deployment.lease_expires_at.is_some(),
            deployment.started_at.is_some(),
            deployment.applied_at.is_some(),
            deployment.progressed_at.is_some(),
            deployment.healthy_since.is_some(),
            deployment.cancel_requested_at.is_some(),
            deployment.finished_at.is_some(),
        )
    }
}

fn number(releases: &[Release], id: Option<model::id::ReleaseId>) -> Option<i32> {
    releases.iter().find(|release| Some(release.id) == id).map(|release| release.number)
}

fn named(what: &str, position: Option<usize>) -> String {
    position.map_or_else(|| format!("an unknown {what}"), |position| format!("{what}{position}"))
}
