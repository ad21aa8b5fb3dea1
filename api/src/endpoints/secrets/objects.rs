//! Secrets and configs as requests and answers have them. No answer has a field for a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use db::secrets::{NewSecret, NewVersion, NotDeployed, SecretRow, SecretUse, VersionMade};
use model::Error;
use model::error::{ErrorCode, Violation};
use model::secret::{InvalidSecretName, SecretKind, SecretVersion};
use poem_openapi::payload::Json;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, Object};
use secrecy::{ExposeSecret as _, SecretSlice};
use validator::{Validate, ValidationErrors};
use zeroize::Zeroizing;

use crate::secret_text::SecretText;
use crate::spec::rule;
use crate::word::Word;

/// Most bytes of any value, and with them of any text that is one.
const MOST_TEXT: usize = SecretKind::Config.most_bytes();
/// The same in base64.
const MOST_BASE64: usize = MOST_TEXT.div_ceil(3) * 4;

/// A value as a text.
type Text = SecretText<1, MOST_TEXT>;
/// A value in base64.
type Base64 = SecretText<1, MOST_BASE64>;

/// A new secret or config.
#[derive(Debug, Object)]
pub(crate) struct SecretCreate {
    /// Unique among those of its kind in the environment; the name of its file.
    #[oai(validator(
        min_length = 1,
        max_length = 63,
        pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
    ))]
    name: String,
    /// Its value, where that is a text: at most 511,999 bytes of a secret, 1,023,999 of a config.
    value: Option<Text>,
    /// Its value in base64 (RFC 4648, padded), in the place of `value`.
    value_base64: Option<Base64>,
    /// How many days a version of it may be old before its owner is told; 90 is advised. `null`: as many as it likes.
    #[oai(validator(minimum(value = "1"), maximum(value = "3650")))]
    rotation_days: Option<i32>,
}

/// What changes of a secret or a config beside its value.
#[derive(Debug, Object, Validate)]
pub(crate) struct SecretUpdate {
    /// How many days a version of it may be old before its owner is told; `null`: as many as it likes.
    #[oai(validator(minimum(value = "1"), maximum(value = "3650")))]
    rotation_days: MaybeUndefined<i32>,
}

/// A new version of a secret or a config.
#[derive(Debug, Object)]
pub(crate) struct SecretVersionCreate {
    /// Its value, where that is a text: at most 511,999 bytes of a secret, 1,023,999 of a config.
    value: Option<Text>,
    /// Its value in base64 (RFC 4648, padded), in the place of `value`.
    value_base64: Option<Base64>,
    /// Whether what runs with the newest version is deployed with this one.
    #[oai(default = "default_deploy")]
    deploy: bool,
}

fn default_deploy() -> bool {
    true
}

/// What a value is made of; the value itself where it can be had.
fn value(text: Option<Text>, base64: Option<Base64>) -> Result<SecretSlice<u8>, Error> {
    match (text, base64) {
        (Some(text), None) => Ok(text.0.expose_secret().as_bytes().to_vec().into()),
        (None, Some(base64)) => {
            let decoded = STANDARD.decode(base64.0.expose_secret()).map(Zeroizing::new);
            // The decoder's error tells a byte of the value.
            let decoded = decoded.map_err(|_| {
                let rule = "must be base64 (RFC 4648, padded); it is not";
                Error::invalid(vec![Violation::new("value_base64", rule)])
            })?;
            Ok(decoded.to_vec().into())
        }
        (Some(_), Some(_)) | (None, None) => {
            Err(Error::internal("a value in two forms, or in none"))
        }
    }
}

fn one_of_both(text: Option<&Text>, base64: Option<&Base64>) -> Result<(), ValidationErrors> {
    if text.is_some() != base64.is_some() {
        return Ok(());
    }
    let mut broken = ValidationErrors::new();
    broken.add("value", rule("either value or value_base64, and not both"));
    Err(broken)
}

impl Validate for SecretCreate {
    fn validate(&self) -> Result<(), ValidationErrors> {
        one_of_both(self.value.as_ref(), self.value_base64.as_ref())
    }
}

impl Validate for SecretVersionCreate {
    fn validate(&self) -> Result<(), ValidationErrors> {
        one_of_both(self.value.as_ref(), self.value_base64.as_ref())
    }
}

impl SecretCreate {
    /// What an idempotency key stands for: everything but the value, of which nothing may be kept, not even a hash.
    pub(super) fn said(&self) -> String {
        serde_json::json!([self.name, self.rotation_days]).to_string()
    }

    pub(super) fn opened(self, kind: SecretKind) -> Result<NewSecret, Error> {
        let Self { name, value: text, value_base64, rotation_days } = self;
        let name = name.parse().map_err(|error: InvalidSecretName| {
            Error::invalid(vec![Violation::new("name", error.to_string())])
        })?;
        Ok(NewSecret { kind, name, rotation_days, value: value(text, value_base64)? })
    }
}

impl SecretVersionCreate {
    /// See [`SecretCreate::said`].
    pub(super) fn said(&self) -> String {
        serde_json::json!([self.deploy]).to_string()
    }

    pub(super) fn opened(self) -> Result<NewVersion, Error> {
        Ok(NewVersion { value: value(self.value, self.value_base64)?, deploy: self.deploy })
    }
}

impl SecretUpdate {
    /// `None`: it stays as it is.
    pub(super) fn rotation_days(&self) -> Option<Option<i32>> {
        match self.rotation_days {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(days) => Some(Some(days)),
        }
    }
}

/// The answer to a created secret or config.
#[derive(ApiResponse)]
pub(crate) enum SecretCreated {
    /// It is there.
    #[oai(status = 201)]
    Created(
        Json<SecretObject>,
        /// Path of it.
        #[oai(header = "Location")]
        String,
    ),
}

/// The answer to a created version.
#[derive(ApiResponse)]
pub(crate) enum SecretVersionCreated {
    /// It is there.
    #[oai(status = 201)]
    Created(Json<SecretVersionMade>),
}

/// The answer to a removed secret or config.
#[derive(ApiResponse)]
pub(crate) enum SecretDeleted {
    /// It is gone. Its values are thrown away, and leave the swarm, within minutes.
    #[oai(status = 204)]
    Deleted,
}

/// A secret or a config. Its values cannot be read.
#[derive(Debug, Object)]
#[oai(rename = "Secret")]
pub(crate) struct SecretObject {
    /// Its id (`sec_…`).
    id: String,
    /// What it is to apps.
    kind: Word<SecretKind>,
    /// Its name.
    name: String,
    /// Its newest version.
    newest: SecretVersionObject,
    /// How many days a version of it may be old before its owner is told; `null`: as many as it likes.
    rotation_days: Option<i32>,
    /// When its newest version is to be replaced; `null`: its owner set no period. In the past: it is overdue.
    rotation_due_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
}

/// A secret or a config, and what needs it.
#[derive(Debug, Object)]
#[oai(rename = "SecretView")]
pub(crate) struct SecretView {
    /// It.
    #[oai(flatten)]
    secret: SecretObject,
    /// What needs it: at most 200 are told, what is live first.
    used_by: Vec<SecretUseObject>,
}

/// Something that needs a secret or a config.
#[derive(Debug, Object)]
#[oai(rename = "SecretUse")]
pub(crate) struct SecretUseObject {
    /// Slug of the app.
    app: String,
    /// Number of its release that has it; `null`: its next release will.
    release: Option<i32>,
    /// Number of the version; `null`: the one that is the newest then.
    version: Option<i32>,
    /// Whether that release is live.
    live: bool,
}

/// A version of a secret or a config. Its value cannot be read.
#[derive(Debug, Object)]
#[oai(rename = "SecretVersion")]
pub(crate) struct SecretVersionObject {
    /// Its number.
    version: i32,
    /// Bytes of its value.
    bytes: i32,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When its value was thrown away, because no release needed it any more; `null`: it is there.
    collected_at: Option<DateTime<Utc>>,
}

/// A version that was made, and what follows from it.
#[derive(Debug, Object)]
#[oai(rename = "SecretVersionMade")]
pub(crate) struct SecretVersionMade {
    /// The version.
    #[oai(flatten)]
    version: SecretVersionObject,
    /// The apps that are deployed with it.
    deployments: Vec<SecretDeployment>,
    /// The apps that run with the version before it and could not be deployed with this one.
    not_deployed: Vec<SecretNotDeployed>,
}

/// The deployment of an app with a new version.
#[derive(Debug, Object)]
pub(crate) struct SecretDeployment {
    /// Slug of the app.
    app: String,
    /// Id of the deployment.
    deployment: String,
    /// Number of the release that it makes live.
    release: Option<i32>,
}

/// An app that could not be deployed with a new version.
#[derive(Debug, Object)]
pub(crate) struct SecretNotDeployed {
    /// Slug of the app.
    app: String,
    /// Why, for programs.
    code: Word<ErrorCode>,
    /// Why, for people.
    detail: String,
}

impl From<SecretVersion> for SecretVersionObject {
    fn from(version: SecretVersion) -> Self {
        Self {
            version: version.number,
            bytes: version.bytes,
            created_at: version.created_at,
            collected_at: version.collected_at,
        }
    }
}

impl From<SecretRow> for SecretObject {
    fn from(row: SecretRow) -> Self {
        let (secret, newest) = row;
        let rotation_due_at = secret.rotation_due(newest.created_at);
        Self {
            id: secret.id.to_string(),
            kind: Word(secret.kind),
            name: secret.name,
            newest: newest.into(),
            rotation_days: secret.rotation_days,
            rotation_due_at,
            created_at: secret.created_at,
            updated_at: secret.updated_at,
        }
    }
}

impl SecretView {
    pub(super) fn of(row: SecretRow, uses: Vec<SecretUse>) -> Self {
        let told = |found: SecretUse| SecretUseObject {
            app: found.app,
            release: found.release,
            version: found.version,
            live: found.live,
        };
        Self { secret: row.into(), used_by: uses.into_iter().map(told).collect() }
    }
}

impl From<VersionMade> for SecretVersionMade {
    fn from(made: VersionMade) -> Self {
        let deployed = |(app, row): (String, db::deployments::DeploymentRow)| SecretDeployment {
            app,
            deployment: row.deployment.id.to_string(),
            release: row.release,
        };
        let not_deployed = |NotDeployed { app, error }| SecretNotDeployed {
            app,
            code: Word(error.code),
            detail: error.message,
        };
        Self {
            version: made.version.into(),
            deployments: made.deployments.into_iter().map(deployed).collect(),
            not_deployed: made.not_deployed.into_iter().map(not_deployed).collect(),
        }
    }
}
