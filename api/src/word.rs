//! The closed word lists of `model` as OpenAPI enums. The words come from `model`'s own tables, so
//! that the document, the parser and Postgres cannot disagree.

use std::borrow::Cow;
use std::str::FromStr;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A word list of `model`.
pub(crate) trait Words: Copy + Send + Sync + FromStr + 'static {
    /// Its name in the OpenAPI document.
    const NAME: &'static str;
    /// What its words say about.
    const ABOUT: &'static str;
    /// Every word.
    const ALL: &'static [Self];
    /// The spelling.
    fn text(self) -> &'static str;
}

macro_rules! words {
    ($($type:ty, $name:literal, $about:literal;)+) => {
        $(impl Words for $type {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = $about;
            const ALL: &'static [Self] = <$type>::ALL;
            fn text(self) -> &'static str {
                self.as_str()
            }
        })+
    };
}

words! {
    model::error::ErrorCode, "ErrorCode", "Stable code of a problem.";
    model::deployment::Kind, "DeploymentKind", "What a deployment attempts.";
    model::status::Status, "DeploymentStatus", "How far a deployment is.";
    model::reason::ReasonCode, "ReasonCode", "Why a deployment ended as it did.";
    model::audit::AuditResult, "AuditResult", "What came of what somebody tried.";
    model::app_status::Health, "Health", "How an app does.";
    model::drift::DriftKind, "DriftKind", "What is wrong with an object in Swarm.";
    model::drift::ObjectType, "DriftedObject", "What kind of thing in Swarm.";
    model::token::TokenKind, "TokenKind", "Whose a token is.";
    model::token::TokenScope, "TokenScope", "What a token may be used for: `read`; `deploy` changes \
        what runs and reads; `manage` changes everything of an organization, deploys and reads; \
        `billing` is for plans, quotas and suspensions; `admin` is everything.";
    model::secret::SecretKind, "SecretKind", "What a value is to its app: a file below `/run/secrets`, in memory (`secret`), or a file at a \
        path of its choice (`config`).";
    model::registry_credential::CredentialKind, "CredentialKind", "What kind of credential it is: a user name and a password \
        (`basic`), an identity token (`token`), or what the platform's refresh command makes passwords of that end soon (`short_lived`).";
    model::registry_credential::CredentialStatus, "CredentialStatus", "What a registry said of a credential.";
    model::network::NetworkAccess, "NetworkAccess", "What the containers on a network reach beside each other: \
        the world outside through their node (`egress`), or nothing (`internal`).";
    model::isolation_check::CheckStatus, "IsolationCheckStatus", "How far an isolation check is.";
    model::isolation_check::IsolationVerdict, "IsolationVerdict", "What an isolation check came to: nothing got across and \
        everything inside did (`isolated`); something got across (`breached`); nothing is proven (`inconclusive`).";
    model::isolation_check::Expectation, "IsolationExpectation", "What was expected of an attempt: an `answer` inside one \
        network, `silence` across, `nothing` of a node, which is told only.";
    model::platform::Encryption, "Encryption", "Whether new networks are encrypted between nodes.";
    model::subnet_pool::ReservedBy, "ReservedBy", "Who knows of a reserved range.";
    model::member::Role, "Role", "What a member may do in an organization.";
    model::policy::PolicyException, "PolicyException", "What an organization may have beyond the policy: \
        `large_replicas` of up to 64 cores and 256 GB; placement by `node.hostname` (`named_nodes`).";
    model::disk::DiskLevel, "DiskLevel", "How much of its disk a replica has written: `high` is 80 % or more, `full` all of it.";
    model::disk::OnDiskFull, "OnDiskFull", "What is done about an app that has written all that it may: its owner is told (`warn`), or it is \
        stopped, too (`stop`).";
    model::quota::Quota, "QuotaName", "What a quota is of.";
    model::user::PlatformRole, "PlatformRole", "What somebody may do to the platform itself.";
    model::spec::EndpointMode, "EndpointMode", "How an app's name resolves inside its network: \
        one virtual address, or the addresses of the replicas in turn.";
    model::spec::RestartCondition, "RestartCondition", "When a task that ended is started again.";
    model::update_policy::UpdateOrder, "UpdateOrder", "Which comes first when a task is replaced.";
    model::update_policy::FailureAction, "FailureAction",
        "What Swarm does by itself when too many new tasks fail.";
}

/// A word of such a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Word<T>(pub(crate) T);

impl<T: Words> Type for Word<T> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(T::NAME.to_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(T::NAME.to_owned(), |_| MetaSchema {
            description: Some(T::ABOUT),
            enum_items: T::ALL.iter().map(|word| Value::from(word.text())).collect(),
            ..MetaSchema::new("string")
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<T: Words> ParseFromJSON for Word<T> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        value
            .as_ref()
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .map(Self)
            .ok_or_else(ParseError::expected_input)
    }
}

impl<T: Words> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.text())
    }
}

impl<T: Words> ToJSON for Word<T> {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.text().into())
    }
}
