//! References of an app to secrets and configs of its environment.

use model::secret::{ConfigRef, SecretRef};
use poem_openapi::Object;
use serde::Serialize;
use serde_with::skip_serializing_none;

/// A secret that an app gets as a file, `/run/secrets/NAME`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
pub(crate) struct MountedSecret {
    /// Name of a secret of the app's environment.
    #[oai(validator(
        min_length = 1,
        max_length = 63,
        pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
    ))]
    pub(crate) name: String,
    /// Which version; without it, the newest one whenever a release is made.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "1")))]
    pub(crate) version: Option<i32>,
}

/// A config that an app gets as a file.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
pub(crate) struct MountedConfig {
    /// Name of a config of the app's environment.
    #[oai(validator(
        min_length = 1,
        max_length = 63,
        pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
    ))]
    pub(crate) name: String,
    /// Which version; without it, the newest one whenever a release is made.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "1")))]
    pub(crate) version: Option<i32>,
    /// Absolute path of the file in the container.
    #[oai(validator(max_length = 255, pattern = "^/[^\\x00-\\x1f\\x7f:,]*$"))]
    pub(crate) path: String,
}

impl From<MountedSecret> for SecretRef {
    fn from(mounted: MountedSecret) -> Self {
        Self { name: mounted.name, version: mounted.version, follows: false }
    }
}

impl From<SecretRef> for MountedSecret {
    fn from(reference: SecretRef) -> Self {
        Self { name: reference.name, version: reference.version }
    }
}

impl From<MountedConfig> for ConfigRef {
    fn from(mounted: MountedConfig) -> Self {
        let MountedConfig { name, version, path } = mounted;
        Self { config: SecretRef { name, version, follows: false }, path }
    }
}

impl From<ConfigRef> for MountedConfig {
    fn from(reference: ConfigRef) -> Self {
        let ConfigRef { config: SecretRef { name, version, .. }, path } = reference;
        Self { name, version, path }
    }
}
