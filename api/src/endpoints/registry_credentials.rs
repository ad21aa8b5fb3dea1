//! Credentials for image registries. Saved when the registry has been asked, by a worker: the API reaches none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use db::OrgScope;
use db::registry_credentials::{
    Checked, NewCredential, registry_candidate_create, registry_candidate_drop,
    registry_candidate_take, registry_credential_delete, registry_credential_get,
    registry_credential_list,
};
use db::segment::Segment;
use model::Error;
use model::error::{ErrorCode, Violation};
use model::question::{CredentialCheck, Question, Reply};
use model::registry_credential::{
    CredentialKind, CredentialStatus, MAX_SECRET, RegistryCredential,
};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use queue::Unanswered;
use secrecy::ExposeSecret as _;
use validator::{Validate, ValidationErrors};

use super::Tag;
use crate::access::{Access, InPath, Registry, action};
use crate::body::Body;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::secret_text::SecretText;
use crate::spec::rule;
use crate::word::Word;

/// How long it may take to say whether a registry takes a credential: the refresh command 10 s, the registry 4 s.
const PATIENCE: Duration = Duration::from_secs(18);

/// The endpoints of credentials for registries.
pub(crate) struct RegistryCredentials;

/// What a registry is to be shown.
#[derive(Debug, Object)]
pub(crate) struct RegistryCredentialSet {
    /// What kind it is.
    kind: Word<CredentialKind>,
    /// Who logs in: of `basic`, and of `short_lived` where the refresh command wants one.
    #[oai(validator(min_length = 1, max_length = 255, pattern = "^[^\\x00-\\x1f\\x7f:]*$"))]
    username: Option<String>,
    /// The password, the token, or what the refresh command is given. Nobody is shown it again.
    secret: SecretText<1, MAX_SECRET>,
    /// When it ends, where that is known: told, and nothing more. Of `short_lived` the refresh command says it.
    expires_at: Option<DateTime<Utc>>,
}

impl Validate for RegistryCredentialSet {
    fn validate(&self) -> Result<(), ValidationErrors> {
        let broken = |why| {
            let mut broken = ValidationErrors::new();
            broken.add("username", rule(why));
            Err(broken)
        };
        match (self.kind.0, &self.username) {
            (CredentialKind::Basic, None) => broken("is required: a password is somebody's"),
            (CredentialKind::Token, Some(_)) => broken("not with a token: it says whose it is"),
            (CredentialKind::Basic, Some(_)) | (CredentialKind::Token, None) => Ok(()),
            (CredentialKind::ShortLived, _) => Ok(()),
        }
    }
}

/// What an organization shows a registry. The secret cannot be read.
#[derive(Debug, Object)]
#[oai(rename = "RegistryCredential")]
pub(crate) struct RegistryCredentialObject {
    /// Its id (`cred_…`).
    id: String,
    /// The registry's host.
    registry: String,
    /// What kind it is.
    kind: Word<CredentialKind>,
    /// Who logs in; `null`: its token says so.
    username: Option<String>,
    /// Raised with each secret that takes the place of the one before.
    version: i32,
    /// When it, or what was made of it last, ends; `null`: not known.
    expires_at: Option<DateTime<Utc>>,
    /// What the registry said of it when it was set.
    check: RegistryCheck,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
}

/// What a registry said of a credential.
#[derive(Debug, Object)]
pub(crate) struct RegistryCheck {
    /// In a word; `null`: it was not asked yet.
    status: Option<Word<CredentialStatus>>,
    /// In its own words, where it does not just take it.
    answer: Option<String>,
    /// When.
    checked_at: Option<DateTime<Utc>>,
}

/// The answer to a removed credential.
#[derive(ApiResponse)]
pub(crate) enum RegistryCredentialDeleted {
    /// It is gone. What runs goes on; what is deployed next shows the registry nothing.
    #[oai(status = 204)]
    Deleted,
}

impl From<RegistryCredential> for RegistryCredentialObject {
    fn from(row: RegistryCredential) -> Self {
        Self {
            id: row.id.to_string(),
            registry: row.registry,
            kind: Word(row.kind),
            username: row.username,
            version: row.version,
            expires_at: row.expires_at,
            check: RegistryCheck {
                status: row.check_status.map(Word),
                answer: row.check_answer,
                checked_at: row.checked_at,
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[OpenApi(tag = "Tag::Registries")]
impl RegistryCredentials {
    /// Set the credential for a registry
    ///
    /// The registry is asked first: what it refuses is not saved, and the answer has its words. Where it cannot be reached, that is saved
    /// and told (`check`). From then on every image of that registry is resolved and pulled with it, and with nothing else. What runs is
    /// not touched.
    #[oai(
        path = "/v1/organizations/:organization/registry-credentials/:registry",
        method = "put",
        operation_id = "registry_credential_set"
    )]
    async fn set(
        &self,
        access: Access<action::RegistryAsk, OrgScope>,
        InPath(registry): InPath<Registry>,
        body: Body<RegistryCredentialSet>,
    ) -> Result<Json<RegistryCredentialObject>, Problem> {
        let request = access.request(None);
        let database = &access.state.database;
        let registry = match registry.0 {
            Segment::Slug(registry) => registry,
            id @ Segment::Id(_) => {
                registry_credential_get(database, access.scope, &id).await?.registry
            }
        };
        let RegistryCredentialSet { kind, username, secret, expires_at } = body.value;
        let secret = secret.0.expose_secret().as_bytes().to_vec().into();
        let wanted = NewCredential { registry, kind: kind.0, username, secret, expires_at };
        let candidate = registry_candidate_create(database, access.scope, &wanted).await?;
        let question = Question::CheckCredential { credential: candidate };
        let checked =
            match checked(access.state.asker.ask(question, PATIENCE).await, &wanted.registry) {
                Ok(checked) => checked,
                Err(error) => {
                    registry_candidate_drop(database, access.scope, candidate).await?;
                    return Err(error.into());
                }
            };
        let made = registry_candidate_take(
            database,
            access.scope,
            (candidate, &wanted.registry),
            &checked,
            &request,
        )
        .await?;
        Ok(Json(made.into()))
    }

    /// List the credentials for registries of an organization
    ///
    /// Oldest first.
    #[oai(
        path = "/v1/organizations/:organization/registry-credentials",
        method = "get",
        operation_id = "registry_credential_list"
    )]
    async fn list(
        &self,
        access: Access<action::RegistryCredentialRead, OrgScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<RegistryCredentialObject>>, Problem> {
        let page = registry_credential_list(&access.state.database, access.scope, page).await?;
        Ok(Json(PageObject::of(page, RegistryCredentialObject::from)))
    }

    /// Get the credential for a registry
    #[oai(
        path = "/v1/organizations/:organization/registry-credentials/:registry",
        method = "get",
        operation_id = "registry_credential_get"
    )]
    async fn get(
        &self,
        access: Access<action::RegistryCredentialRead, OrgScope>,
        InPath(registry): InPath<Registry>,
    ) -> Result<Json<RegistryCredentialObject>, Problem> {
        let database = &access.state.database;
        Ok(Json(registry_credential_get(database, access.scope, &registry.0).await?.into()))
    }

    /// Remove the credential for a registry
    ///
    /// What runs goes on, on the nodes that have its image. What is deployed, or started on another node, from then on shows the registry
    /// nothing.
    #[oai(
        path = "/v1/organizations/:organization/registry-credentials/:registry",
        method = "delete",
        operation_id = "registry_credential_delete"
    )]
    async fn delete(
        &self,
        access: Access<action::RegistryCredentialManage, OrgScope>,
        InPath(registry): InPath<Registry>,
    ) -> Result<RegistryCredentialDeleted, Problem> {
        let request = access.request(None);
        let database = &access.state.database;
        registry_credential_delete(database, access.scope, &registry.0, &request).await?;
        Ok(RegistryCredentialDeleted::Deleted)
    }
}

/// What a worker's answer says of the credential; refused where the registry refuses it, or nobody could ask.
fn checked(reply: Result<Reply, Unanswered>, registry: &str) -> Result<Checked, Error> {
    let unavailable = |why: String| {
        let message = format!(
            "the credential was not saved, because {registry} could not be asked: {why}; try again in a moment"
        );
        Error::new(ErrorCode::Unavailable, message)
    };
    match reply {
        Ok(Reply::CredentialChecked { check }) => match check {
            CredentialCheck::Accepted => {
                Ok(Checked { status: CredentialStatus::Accepted, answer: None })
            }
            CredentialCheck::Unreachable { answer } => {
                Ok(Checked { status: CredentialStatus::Unreachable, answer: Some(answer) })
            }
            CredentialCheck::Refused { answer } => {
                let rule = format!("one that {registry} takes; it answered: {answer}");
                Err(Error::invalid(vec![Violation::new("secret", rule)]))
            }
        },
        Ok(Reply::Failed { why }) => Err(unavailable(why)),
        Ok(Reply::Unknown) => Err(unavailable("the workers are of an older version".to_owned())),
        Err(why) => Err(unavailable(why.to_string())),
    }
}
