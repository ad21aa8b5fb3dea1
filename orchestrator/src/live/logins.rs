//! What services carry for their image's registry, kept as their organization has it: nodes pull with it whenever a task is started on
//! one that has not the image. Written only while no deployment is under way, at the version that was looked at, and with nothing else
//! changed: no task is replaced.

use std::collections::HashMap;

use db::live::{LiveApp, live_apps};
use db::registry_credentials::opening::credential_versions;
use model::id::{AppId, DeploymentId, RegistryCredentialId};
use model::names;
use model::status::Status;

use super::{Failure, Live};
use crate::swarm::{Service, ServiceCount, Swarm};
use crate::wakeups::Relay;

/// Most services that are written in one look.
const AT_ONCE: usize = 50;

impl<S: Swarm, R: Relay> Live<S, R> {
    /// Gives services whose credential has another secret by now that one, and takes it from those whose credential is gone.
    pub(super) async fn keep_logins(
        &self,
        services: &HashMap<AppId, &ServiceCount>,
    ) -> Result<(), Failure> {
        let carried: HashMap<AppId, (RegistryCredentialId, i32)> = services
            .iter()
            .filter_map(|(app, one)| Some((*app, login_of(&one.service)?)))
            .collect();
        if carried.is_empty() {
            return Ok(());
        }
        let ids: Vec<RegistryCredentialId> = carried.values().map(|(id, _)| *id).collect();
        let newest = credential_versions(&self.database, &ids).await?;
        let is_old = |(id, version): &(RegistryCredentialId, i32)| {
            // One that is gone was removed, or replaced after it was.
            newest.get(id).is_none_or(|newest| newest > version)
        };
        let old = carried.iter().filter(|(_, carried)| is_old(carried)).map(|(app, _)| *app);
        let old: Vec<AppId> = old.take(AT_ONCE).collect();
        if old.is_empty() {
            return Ok(());
        }
        for app in live_apps(&self.database, &old).await? {
            let Some(service) = services.get(&app.id).map(|one| &one.service) else { continue };
            if let Some(writer) = is_at_rest(&app, service)
                && let Err(error) = self.rewrite(&app, service, writer, service.replicas).await
            {
                tracing::warn!(app = %app.id, %error, "its registry's login stays the old one for now");
            }
        }
        Ok(())
    }
}

/// The credential that a service carries, and its version.
fn login_of(service: &Service) -> Option<(RegistryCredentialId, i32)> {
    let (id, version) = service.label(names::LABEL_REGISTRY_LOGIN)?.split_once('/')?;
    Some((id.parse().ok()?, version.parse().ok()?))
}

/// The deployment that wrote the service, where nothing is under way and nobody else has written it since.
fn is_at_rest(app: &LiveApp, service: &Service) -> Option<DeploymentId> {
    let is_ours = app.version == Some(service.version_for_the_record())
        && app.newest != Some(Status::Stuck)
        && !app.unfinished
        && !app.removed;
    let writer = service.label(names::LABEL_DEPLOYMENT)?.parse().ok()?;
    is_ours.then_some(writer)
}
