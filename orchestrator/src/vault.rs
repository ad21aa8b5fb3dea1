//! The vault: where the values of secrets and configs come from, opened. Whoever has one has the private keys; nothing that is opened
//! here may be written anywhere but into Swarm.

pub mod issuing;
pub mod rotation;

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{TimeDelta, Utc};
use db::Database;
use db::registry_credentials::opening::{SealedCredential, credential_for, credential_issued};
use db::secrets::delivery::{
    MountedVersion, version_named, version_opened, version_sealed, versions_mounted,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::Error;
use model::id::{DeploymentId, OrganizationId, ReleaseId};
use model::registry_credential::{self, CredentialKind};
use model::secret::identity;
use sealing::{KeyId, Keyring, Sealed, Unopened};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};

use self::issuing::Issuer;

use crate::swarm::RegistryLogin;

/// A short-lived login is made anew with less than this left: a pull may take as long.
const LEAST_LIFE: TimeDelta = TimeDelta::minutes(5);

/// A value, and what it is called in Swarm.
#[derive(Debug)]
pub struct Opened {
    /// The name of its object.
    pub name: String,
    /// The value.
    pub value: SecretSlice<u8>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Postgres failed: it may be tried again.
    #[error("{}", .0.chain())]
    Database(#[from] Error),
    /// This worker cannot, another one may: a sentence.
    #[error("{0}")]
    NotHere(String),
    /// The refresh command makes no login of it: a sentence for who gave it.
    #[error("{0}")]
    NotMade(String),
    /// Nobody can: a sentence.
    #[error("{0}")]
    Lost(String),
}

/// Hands out what releases mount.
pub trait Vault: Send + Sync + 'static {
    /// The versions that a release mounts.
    fn mounted(&self, release: ReleaseId)
    -> BoxFuture<'_, Result<Vec<MountedVersion>, VaultError>>;

    /// What an organization shows a registry; `None`: nothing.
    fn login<'a>(
        &'a self,
        organization: OrganizationId,
        registry: &'a str,
    ) -> BoxFuture<'a, Result<Option<RegistryLogin>, VaultError>>;

    /// Opens a version's value, to be delivered by this deployment, and writes that down. The name is the same each time.
    fn open<'a>(
        &'a self,
        version: &'a MountedVersion,
        deployment: DeploymentId,
    ) -> BoxFuture<'a, Result<Opened, VaultError>>;
}

/// Reads the keyring, as its file is now; a sentence where that cannot be.
pub type ReadKeyring = Box<dyn Fn() -> Result<Keyring, String> + Send + Sync>;

/// The vault of an installation: sealed values in Postgres, private keys in this worker's hands.
#[derive(Clone)]
pub struct SealedVault {
    database: Database,
    keys: Arc<Keys>,
    issuer: Option<Issuer>,
}

struct Keys {
    read: Option<ReadKeyring>,
    ring: RwLock<Option<Keyring>>,
}

impl SealedVault {
    /// One whose keyring is read when it is first needed, and again when a value is sealed to a key that is not in it. `None`:
    /// this worker opens nothing.
    pub fn new(database: Database, read: Option<ReadKeyring>, issuer: Option<Issuer>) -> Self {
        Self { database, keys: Arc::new(Keys { read, ring: RwLock::default() }), issuer }
    }
}

/// What the refresh command has made, as it is sealed.
#[derive(Serialize, Deserialize)]
struct IssuedForm {
    username: String,
    secret: String,
}

impl SealedVault {
    /// A credential as a registry is shown it.
    pub(crate) async fn open_credential(
        &self,
        row: SealedCredential,
    ) -> Result<RegistryLogin, VaultError> {
        if row.kind == CredentialKind::ShortLived {
            return self.open_short_lived(row).await;
        }
        let secret = self.open_text(&row, &row.key_id, &row.sealed)?;
        Ok(RegistryLogin {
            credential: row.id,
            version: row.version,
            registry: row.registry,
            username: row.username,
            secret,
        })
    }

    /// What was made of it, where that lasts for another while; else what the refresh command makes of it now.
    async fn open_short_lived(&self, row: SealedCredential) -> Result<RegistryLogin, VaultError> {
        let lasts = row.expires_at.is_some_and(|end| end > Utc::now() + LEAST_LIFE);
        if let (true, Some(key_id), Some(sealed)) = (lasts, &row.issued_key_id, &row.issued_sealed)
        {
            let issued = self.open_text(&row, key_id, sealed)?;
            let IssuedForm { username, secret } = serde_json::from_str(issued.expose_secret())
                .map_err(|_| VaultError::Lost("what was made of it cannot be read".to_owned()))?;
            return Ok(RegistryLogin {
                credential: row.id,
                version: row.version,
                registry: row.registry,
                username: Some(username),
                secret: secret.into(),
            });
        }
        self.issue(row).await
    }

    /// Has the refresh command make a login, and keeps it.
    pub(crate) async fn issue(&self, row: SealedCredential) -> Result<RegistryLogin, VaultError> {
        let Some(issuer) = &self.issuer else {
            let why = "this platform has no refresh command for short-lived credentials (SKEP_REGISTRY_REFRESH_COMMAND)";
            return Err(VaultError::NotMade(why.to_owned()));
        };
        let secret = self.open_text(&row, &row.key_id, &row.sealed)?;
        let issued = issuer.issue(&row.registry, row.username.as_deref(), &secret).await;
        let issued = issued.map_err(VaultError::NotMade)?;
        if issued.expires_at < Utc::now() + LEAST_LIFE {
            let why = format!(
                "the refresh command made a login that ends within {} minutes: too short for a pull",
                LEAST_LIFE.num_minutes()
            );
            return Err(VaultError::NotMade(why));
        }
        let form = IssuedForm {
            username: issued.username.clone(),
            secret: issued.secret.expose_secret().to_owned(),
        };
        let json = serde_json::to_vec(&form).map_err(Error::internal)?;
        // A candidate is nobody's yet: what is made of it is for one look.
        let version = match row.version {
            0 => None,
            _ => credential_issued(&self.database, &row, &json.into(), issued.expires_at).await?,
        };
        Ok(RegistryLogin {
            credential: row.id,
            version: version.unwrap_or(row.version),
            registry: row.registry,
            username: Some(issued.username),
            secret: issued.secret,
        })
    }

    fn open_text(
        &self,
        row: &SealedCredential,
        key_id: &str,
        sealed: &[u8],
    ) -> Result<SecretString, VaultError> {
        let identity = registry_credential::identity(row.organization_id, &row.registry);
        let (key, sealed) = (KeyId::from(key_id.to_owned()), Sealed::from(sealed.to_vec()));
        let secret = self.keys.with(|ring| ring.open(&key, identity.as_bytes(), &sealed))?;
        let text = String::from_utf8(secret.expose_secret().to_vec());
        Ok(text.map_err(|_| VaultError::Lost("it is no text".to_owned()))?.into())
    }
}

impl Keys {
    /// Has the keyring do this; it is read anew where it does not know the key.
    fn with<T>(&self, work: impl Fn(&Keyring) -> Result<T, Unopened>) -> Result<T, VaultError> {
        let Some(read) = &self.read else {
            let why =
                "this worker has no keyring to open values with: set SKEP_SEALING_KEYRING_FILE";
            return Err(VaultError::NotHere(why.to_owned()));
        };
        let known = self.ring.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known.as_ref().map(&work) {
            Some(Err(Unopened::UnknownKey(_))) | None => {}
            Some(done) => return done.map_err(lost),
        }
        let ring = read().map_err(VaultError::NotHere)?;
        let done = work(&ring);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Some(ring);
        done.map_err(lost)
    }
}

fn lost(why: Unopened) -> VaultError {
    match why {
        Unopened::UnknownKey(_) => VaultError::NotHere(why.to_string()),
        Unopened::Broken => VaultError::Lost(why.to_string()),
    }
}

impl Vault for SealedVault {
    fn mounted(
        &self,
        release: ReleaseId,
    ) -> BoxFuture<'_, Result<Vec<MountedVersion>, VaultError>> {
        async move { Ok(versions_mounted(&self.database, release).await?) }.boxed()
    }

    fn login<'a>(
        &'a self,
        organization: OrganizationId,
        registry: &'a str,
    ) -> BoxFuture<'a, Result<Option<RegistryLogin>, VaultError>> {
        async move {
            let found = credential_for(&self.database, organization, registry).await?;
            match found {
                Some(row) => Ok(Some(self.open_credential(row).await?)),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn open<'a>(
        &'a self,
        version: &'a MountedVersion,
        deployment: DeploymentId,
    ) -> BoxFuture<'a, Result<Opened, VaultError>> {
        async move {
            let row = version_sealed(&self.database, version.id).await?;
            let (Some(key_id), Some(sealed)) = (row.key_id, row.sealed) else {
                return Err(VaultError::Lost("its value was thrown away".to_owned()));
            };
            let identity = identity(version.organization_id, version.secret_id, version.id);
            let (key, sealed) = (KeyId::from(key_id), Sealed::from(sealed));
            let (name, value) = self.keys.with(|ring| {
                let value = ring.open(&key, identity.as_bytes(), &sealed)?;
                let name = format!("{}-{}", version.kind, ring.name(identity.as_bytes(), &value));
                Ok((name, value))
            })?;
            version_opened(&self.database, version, deployment).await?;
            let name = match &version.swarm_name {
                Some(name) => name.clone(),
                None => version_named(&self.database, version.id, &name).await?,
            };
            Ok(Opened { name, value })
        }
        .boxed()
    }
}
