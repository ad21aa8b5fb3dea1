//! Files: the secrets and configs that a release mounts, made sure of in Swarm. Each version is an object of its own there, made once
//! and never changed; a value is opened only where there is no such object yet.

use std::collections::BTreeMap;

use db::secrets::delivery::MountedVersion;
use model::id::DeploymentId;
use model::names;
use model::release::Release;
use model::secret::SecretKind;

use crate::surroundings::Known;
use crate::swarm::{MountedFile, SecretSpec, Swarm, SwarmError};
use crate::vault::{Vault, VaultError};

/// Mode bits of a file: whoever the app runs as may read it, and nobody else is in its container.
const MODE: u32 = 0o444;

/// The files of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) secrets: Vec<MountedFile>,
    pub(crate) configs: Vec<MountedFile>,
}

/// Why they are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// The daemon failed.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// A value cannot be had: of what, and why.
    #[error("{0} cannot be delivered: {1}")]
    Vault(String, VaultError),
    /// Swarm does not take it: of what, and why.
    #[error("Swarm refused {0}: {1}")]
    Refused(String, String),
}

/// Makes sure of the files of a release, for this deployment. Nothing is asked where it has none.
pub(crate) async fn ensure_files(
    swarm: &impl Swarm,
    vault: &dyn Vault,
    known: &Known,
    platform: &str,
    release: &Release,
    deployment: DeploymentId,
) -> Result<Files, FilesError> {
    let mut files = Files::default();
    if release.spec.0.mounted().next().is_none() {
        return Ok(files);
    }
    let what = || format!("what v{} mounts", release.number);
    let versions = vault.mounted(release.id).await;
    let versions = versions.map_err(|error| FilesError::Vault(what(), error))?;
    for file in release.spec.0.mounted() {
        let found = versions.iter().find(|version| {
            version.kind == file.kind
                && version.name == file.reference.name
                && Some(version.number) == file.reference.version
        });
        let Some(version) = found else {
            let lost = VaultError::Lost("there is no such version".to_owned());
            return Err(FilesError::Vault(file.field(), lost));
        };
        let (id, name) = match known.object(version.id) {
            Some(object) => object,
            None => {
                let object = ensure_object(swarm, vault, platform, version, deployment).await?;
                known.remember_object(version.id, &object);
                object
            }
        };
        let mounted = MountedFile { id, name, path: file.path(), mode: MODE };
        match file.kind {
            SecretKind::Secret => files.secrets.push(mounted),
            SecretKind::Config => files.configs.push(mounted),
        }
    }
    Ok(files)
}

/// The object of a version: Swarm's id of it, and its name.
async fn ensure_object(
    swarm: &impl Swarm,
    vault: &dyn Vault,
    platform: &str,
    version: &MountedVersion,
    deployment: DeploymentId,
) -> Result<(String, String), FilesError> {
    if let Some(name) = &version.swarm_name
        && let Some(id) = swarm.secret(version.kind, name).await?
    {
        return Ok((id, name.clone()));
    }
    let what = format!("the {} {} v{}", version.kind, version.name, version.number);
    let opened = vault.open(version, deployment).await;
    let opened = opened.map_err(|error| FilesError::Vault(what.clone(), error))?;
    let labels = BTreeMap::from([
        (names::LABEL_PLATFORM.to_owned(), platform.to_owned()),
        (names::LABEL_ORGANIZATION.to_owned(), version.organization_id.to_string()),
        (names::LABEL_ENVIRONMENT.to_owned(), version.environment_id.to_string()),
        (names::LABEL_SECRET_VERSION.to_owned(), version.id.to_string()),
    ]);
    let spec =
        SecretSpec { kind: version.kind, name: opened.name.clone(), value: &opened.value, labels };
    let id = match swarm.secret_create(&spec).await {
        // Another worker was faster, or the answer to our own try was lost.
        Err(SwarmError::NameTaken(name)) => {
            let found = swarm.secret(version.kind, &opened.name).await?;
            found.ok_or(SwarmError::NameTaken(name))?
        }
        Err(SwarmError::Refused(why)) => return Err(FilesError::Refused(what, why)),
        made => made?,
    };
    Ok((id, opened.name))
}
