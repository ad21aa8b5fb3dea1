//! Surroundings: what a service's spec refers to, made sure of, and the state of the swarm that it is
//! rendered for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::id::{DeploymentId, NetworkId, SecretVersionId};
use model::image::ImageReference;
use model::network::Network;
use model::release::Release;

use crate::files::{Files, FilesError, ensure_files};
use crate::network::{NetworkError, ensure_network};
use crate::probe::{MountedProbe, ensure_probe};
use crate::swarm::{Login, RegistryLogin, Swarm, SwarmError};
use crate::vault::{Vault, VaultError};

/// What a service is rendered with, beside its own rows.
pub(crate) struct Surroundings {
    /// Swarm's id of the environment's network.
    pub(crate) network: String,
    /// The platform's health probe, where the spec mounts it.
    pub(crate) probe: Option<MountedProbe>,
    /// The secrets and configs that it mounts.
    pub(crate) files: Files,
    /// What the image's registry is shown.
    pub(crate) login: Result<Option<RegistryLogin>, VaultError>,
    pub(crate) has_workers: bool,
    /// Whether some of it was not asked for now. Where Swarm does not take the spec, that may be why.
    pub(crate) is_remembered: bool,
}

/// Most networks, and most secrets, that are remembered; then all are looked at once more.
const MOST: usize = 4096;

/// What a worker has made sure of once. Docker changes no network and no config: what an id was found to be, it
/// is for as long as it is there, and Swarm takes no spec that refers to an id which is gone.
#[derive(Default)]
pub(crate) struct Known {
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    networks: HashMap<NetworkId, String>,
    /// Ids and names of what versions were delivered as.
    objects: HashMap<SecretVersionId, (String, String)>,
    probe: Option<MountedProbe>,
}

impl Known {
    /// Of this network, of the probe and of what is mounted: all are made sure of again.
    pub(crate) fn forget(&self, network: NetworkId) {
        let mut found = self.found();
        found.networks.remove(&network);
        found.probe = None;
        found.objects.clear();
    }

    fn remember_network(&self, network: NetworkId, id: &str) {
        let mut known = self.found();
        if known.networks.len() >= MOST {
            known.networks.clear();
        }
        known.networks.insert(network, id.to_owned());
    }

    /// What a version was delivered as: its id and its name.
    pub(crate) fn object(&self, version: SecretVersionId) -> Option<(String, String)> {
        self.found().objects.get(&version).cloned()
    }

    pub(crate) fn remember_object(&self, version: SecretVersionId, object: &(String, String)) {
        let mut known = self.found();
        if known.objects.len() >= MOST {
            known.objects.clear();
        }
        known.objects.insert(version, object.clone());
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Surroundings {
    /// What nodes show the image's registry. Where that cannot be had now, a service that is there keeps what it has: to go back, to stop
    /// and to slow down must not depend on a registry.
    pub(crate) fn login(&self, is_there: bool) -> Result<Login, &VaultError> {
        match &self.login {
            Ok(Some(login)) => Ok(Login::Show(login.clone())),
            Ok(None) => Ok(Login::Nothing),
            Err(error) if is_there => {
                tracing::warn!(%error, "the service keeps the registry's login that it has");
                Ok(Login::AsBefore)
            }
            Err(error) => Err(error),
        }
    }
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SurroundingsError {
    /// The environment's network cannot be had.
    #[error(transparent)]
    Network(NetworkError),
    /// What it mounts cannot be had.
    #[error(transparent)]
    Files(FilesError),
    /// The daemon failed.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
}

/// A release whose secrets and configs are to be mounted, for a deployment.
pub(crate) struct Mounting<'a> {
    pub(crate) release: &'a Release,
    pub(crate) vault: &'a dyn Vault,
    pub(crate) deployment: DeploymentId,
}

/// What nodes show the registry of the release's image. A local image has none.
async fn login_for(
    vault: &dyn Vault,
    release: &Release,
) -> Result<Option<RegistryLogin>, VaultError> {
    let image = release.resolved_image.as_deref().and_then(ImageReference::parse);
    match image {
        Some(image) => vault.login(release.organization_id, image.registry()).await,
        None => Ok(None),
    }
}

/// Makes sure of what a release's service refers to.
pub(crate) async fn surroundings(
    swarm: &impl Swarm,
    known: &Known,
    platform: &str,
    network: &Network,
    mounting: &Mounting<'_>,
) -> Result<Surroundings, SurroundingsError> {
    let Mounting { release, vault, deployment } = *mounting;
    let check = &release.spec.0.health_check;
    let needs_probe = check.as_ref().is_some_and(|check| check.test.needs_probe());
    let mounts_files = release.spec.0.mounted().next().is_some();
    let (known_network, known_probe, knows_objects) = {
        let found = known.found();
        let probe = found.probe.clone().filter(|_| needs_probe);
        (found.networks.get(&network.id).cloned(), probe, !found.objects.is_empty())
    };
    let is_remembered =
        known_network.is_some() || known_probe.is_some() || mounts_files && knows_objects;
    // Only what is found now is remembered: what was forgotten meanwhile does not come back.
    let probe = async {
        match (needs_probe, known_probe) {
            (true, None) => {
                let found = ensure_probe(swarm, platform).await?;
                known.found().probe = Some(found.clone());
                Ok(Some(found))
            }
            (_, probe) => Ok::<_, SwarmError>(probe),
        }
    };
    let ensured = async {
        match known_network {
            Some(id) => Ok(id),
            None => {
                let id = ensure_network(swarm, platform, network).await?;
                known.remember_network(network.id, &id);
                Ok::<_, NetworkError>(id)
            }
        }
    };
    let files = ensure_files(swarm, vault, known, platform, release, deployment);
    let login = login_for(vault, release);
    let (ensured, probe, files, login, has_workers) =
        tokio::join!(ensured, probe, files, login, swarm.has_workers());
    Ok(Surroundings {
        network: ensured.map_err(SurroundingsError::Network)?,
        probe: probe?,
        files: files.map_err(SurroundingsError::Files)?,
        login,
        has_workers: has_workers?,
        is_remembered,
    })
}
