//! A vault in memory.

use db::secrets::delivery::MountedVersion;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::id::{DeploymentId, OrganizationId, ReleaseId};
use orchestrator::Vault;
use orchestrator::swarm::RegistryLogin;
use orchestrator::vault::{Opened, VaultError};

/// The same versions for every release: each has the value of its name.
#[derive(Debug, Clone, Default)]
pub struct MemoryVault {
    /// The versions.
    pub versions: Vec<MountedVersion>,
}

impl Vault for MemoryVault {
    fn mounted(&self, _: ReleaseId) -> BoxFuture<'_, Result<Vec<MountedVersion>, VaultError>> {
        async { Ok(self.versions.clone()) }.boxed()
    }

    fn login<'a>(
        &'a self,
        _: OrganizationId,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<RegistryLogin>, VaultError>> {
        async { Ok(None) }.boxed()
    }

    fn open<'a>(
        &'a self,
        version: &'a MountedVersion,
        _: DeploymentId,
    ) -> BoxFuture<'a, Result<Opened, VaultError>> {
        let name = format!("{}-{}", version.kind, version.id.as_uuid().simple());
        let value = version.name.clone().into_bytes().into();
        async { Ok(Opened { name, value }) }.boxed()
    }
}
