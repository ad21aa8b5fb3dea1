//! Acts: each has one effect on Swarm (or resolves one fact), and can be run twice.

use std::sync::Arc;

use db::work::Work;
use model::deployment::{Deployment, Kind};
use model::id::ReleaseId;
use model::image::ImageReference;
use model::platform::Platform;
use model::reason::{Reason, ReasonCode};
use model::release::Release;
use model::status::Status;
use model::{Error, names};

use super::leased::Leased;
use super::observation::Observation;
use super::target::Target;
use crate::files::FilesError;
use crate::image::{Resolution, resolve_image};
use crate::ledger::Ledger;
use crate::network::NetworkError;
use crate::render::{self, Rendering};
use crate::surroundings::{Known, Mounting, Surroundings, SurroundingsError, surroundings};
use crate::swarm::{Swarm, SwarmError};
use crate::vault::{Vault, VaultError};

/// What an act came to.
#[derive(Debug)]
pub(super) enum Acted {
    /// It is done, or nobody's to do now: look again.
    Done,
    /// Swarm has the spec.
    Applied,
    /// It cannot be done, for a reason that trying again does not change.
    Impossible(Reason),
    /// It could not be done now: look again in a moment.
    NotNow(String),
}

/// What the spec of a release refers to, made sure of before it was known to be needed.
pub(super) struct Ahead {
    release: ReleaseId,
    found: Result<Surroundings, SurroundingsError>,
}

/// Where acts act.
pub(super) struct Actor<S, L> {
    pub(super) ledger: L,
    pub(super) swarm: Leased<S>,
    pub(super) known: Arc<Known>,
    pub(super) platform: Arc<Platform>,
    pub(super) vault: Arc<dyn Vault>,
}

impl<S: Swarm, L: Ledger> Actor<S, L> {
    /// Resolves the release's image and writes it down.
    pub(super) async fn resolve(&self, work: &mut Work) -> Result<Acted, Error> {
        let Some(release) = &work.release else { return Ok(Acted::Done) };
        let reference = &release.spec.0.image;
        let registry = ImageReference::parse(reference).map(|image| image.registry().to_owned());
        let login = match registry {
            Some(registry) => match self.vault.login(release.organization_id, &registry).await {
                Ok(login) => login,
                Err(error) => return Ok(without_login(&error)),
            },
            None => None,
        };
        let local_images = self.platform.local_images;
        match resolve_image(&self.swarm, reference, local_images, login.as_ref()).await {
            Ok(Resolution::Resolved(image)) => {
                work.release = Some(self.ledger.resolve(release.id, &image).await?);
                Ok(Acted::Done)
            }
            Ok(Resolution::Refused(reason)) => Ok(Acted::Impossible(reason)),
            Ok(Resolution::Unanswered(answer)) => {
                Ok(Acted::NotNow(format!("the registry did not say what {reference} is: {answer}")))
            }
            Err(error) => Ok(later(&error)),
        }
    }

    /// Makes sure of what a deployment's spec will refer to while its service is being looked at: the first thing
    /// that most of them do is to apply it, and each look at Docker takes its time.
    pub(super) async fn look_ahead(&self, work: &Work, deployment: &Deployment) -> Option<Ahead> {
        let is_called_off =
            deployment.superseded_by.is_some() || deployment.cancel_requested_at.is_some();
        if deployment.status != Status::Provisioning
            || deployment.kind == Kind::Remove
            || is_called_off
        {
            return None;
        }
        let release = work.release.as_ref().filter(|release| release.resolved_image.is_some())?;
        Some(Ahead { release: release.id, found: self.surroundings(work, release).await })
    }

    async fn surroundings(
        &self,
        work: &Work,
        release: &Release,
    ) -> Result<Surroundings, SurroundingsError> {
        let mounting = Mounting { release, vault: &*self.vault, deployment: work.deployment.id };
        surroundings(&self.swarm, &self.known, &self.platform.name, &work.network, &mounting).await
    }

    /// Gives the service this target's spec: creates it where there is none.
    pub(super) async fn apply(
        &mut self,
        work: &Work,
        target: &Target<'_>,
        seen: &Observation<'_>,
        ahead: Option<Ahead>,
    ) -> Acted {
        let deployment = &seen.deployment;
        let Some(image) = &target.release.resolved_image else {
            return Acted::NotNow("the image is not known yet".into());
        };
        if let Some(service) = &seen.service
            && !service.belongs_to(&self.platform.name, &work.app.id.to_string())
        {
            return Acted::Impossible(Reason::new(
                ReasonCode::ChangedOutside,
                format!(
                    "a service {} is in the swarm that is not this app's; remove it there",
                    work.app.service_name
                ),
            ));
        }
        let around = match ahead.filter(|ahead| ahead.release == target.release.id) {
            Some(ahead) => ahead.found,
            None => self.surroundings(work, target.release).await,
        };
        let around = match around {
            Ok(around) => around,
            Err(SurroundingsError::Network(error)) => return without_network(work, &error),
            Err(SurroundingsError::Files(error)) => return without_files(&error),
            Err(SurroundingsError::Swarm(error)) => return later(&error),
        };
        let login = match around.login(seen.service.is_some()) {
            Ok(login) => login,
            Err(error) => return without_login(error),
        };
        let carried = seen.service.as_ref().and_then(|it| it.label(names::LABEL_REGISTRY_LOGIN));
        let spec = render::service(&Rendering {
            platform: &self.platform,
            app: &work.app,
            release: target.release,
            image,
            deployment: deployment.id,
            replicas: target.replicas,
            restart_counter: target.restart_counter,
            network: &around.network,
            probe: around.probe.as_ref(),
            files: &around.files,
            login: &login,
            carried,
            has_workers: around.has_workers,
            going_back: deployment.status == Status::RollingBack || deployment.kind == Kind::Repair,
        });
        let applied = match &seen.service {
            Some(service) => self.swarm.service_update(&service.id, service.version, &spec).await,
            None => self.swarm.service_create(&spec).await,
        };
        if let Err(SwarmError::Refused(_) | SwarmError::NotFound(_) | SwarmError::Unavailable(_)) =
            &applied
        {
            self.known.forget(work.network.id);
        }
        match applied {
            Ok(()) => Acted::Applied,
            // Not believed before what it refers to was made sure of again; and this drive remembers with nobody
            // any more, or what others go on remembering could keep it from an end.
            Err(SwarmError::Refused(_) | SwarmError::NotFound(_)) if around.is_remembered => {
                self.known = Arc::default();
                Acted::Done
            }
            Err(SwarmError::Refused(message)) => Acted::Impossible(Reason::new(
                ReasonCode::SpecRefused,
                format!("Swarm refused v{}: {message}", target.release.number),
            )),
            // Somebody else was faster, or the answer to our own first try was lost: look again.
            Err(SwarmError::OutOfSequence | SwarmError::NameTaken(_)) => Acted::Done,
            Err(SwarmError::NotFound(message)) => {
                Acted::NotNow(format!("Swarm lost sight of what the spec refers to ({message})"))
            }
            Err(error @ (SwarmError::Unavailable(_) | SwarmError::OutOfLease)) => later(&error),
        }
    }

    /// Takes the service away, if it is ours.
    pub(super) async fn remove_service(&self, work: &Work, seen: &Observation<'_>) -> Acted {
        let app = work.app.id.to_string();
        let ours = seen
            .service
            .as_ref()
            .is_some_and(|service| service.belongs_to(&self.platform.name, &app));
        if !ours {
            return Acted::Impossible(Reason::new(
                ReasonCode::ChangedOutside,
                format!(
                    "the service {} is not labelled as this app's ({}={app}); it was left alone",
                    work.app.service_name,
                    names::LABEL_APP
                ),
            ));
        }
        match self.swarm.service_remove(&work.app.service_name).await {
            Ok(()) => Acted::Done,
            Err(error) => later(&error),
        }
    }
}

/// What an error that passes comes to. Out of lease, the next look finds that too and waits for the
/// renewal: that is nobody's failure, and must never become a deployment's by its deadline.
fn later(error: &SwarmError) -> Acted {
    match error {
        SwarmError::OutOfLease => Acted::Done,
        _ => Acted::NotNow(error.to_string()),
    }
}

fn without_login(error: &VaultError) -> Acted {
    let sentence = format!("the organization's credential for the image's registry: {error}");
    match error {
        VaultError::Database(_) | VaultError::NotHere(_) | VaultError::NotMade(_) => {
            Acted::NotNow(sentence)
        }
        VaultError::Lost(_) => Acted::Impossible(Reason::new(ReasonCode::ImageForbidden, sentence)),
    }
}

fn without_files(error: &FilesError) -> Acted {
    match error {
        FilesError::Swarm(error) => later(error),
        FilesError::Vault(
            _,
            VaultError::Database(_) | VaultError::NotHere(_) | VaultError::NotMade(_),
        ) => Acted::NotNow(error.to_string()),
        FilesError::Vault(_, VaultError::Lost(_)) | FilesError::Refused(..) => {
            Acted::Impossible(Reason::new(ReasonCode::SecretUnavailable, error.to_string()))
        }
    }
}

fn without_network(work: &Work, error: &NetworkError) -> Acted {
    let sentence = match error {
        NetworkError::Unusable(sentence) => sentence.clone(),
        NetworkError::Swarm(SwarmError::Refused(message)) => {
            format!("Swarm refused the network {}: {message}", work.network.name)
        }
        NetworkError::Swarm(error) => return later(error),
    };
    Acted::Impossible(Reason::new(ReasonCode::NetworkUnavailable, sentence))
}
