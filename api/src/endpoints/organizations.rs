//! Organizations: operators make and list them; a tenant sees its own.

use chrono::{DateTime, TimeDelta, Utc};
use db::deletions::organization_delete;
use db::organizations::{
    organization_create, organization_except, organization_get, organization_list,
    organization_suspend,
};
use db::{IdempotencyKey, OperatorScope, OrgScope};
use model::Error;
use model::organization::Organization;
use model::policy::PolicyException;
use model::slug::Slug;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use validator::Validate;

use super::Tag;
use crate::access::{Access, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::email_text::EmailText;
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoints of organizations.
pub(crate) struct Organizations;

/// A new organization.
#[derive(Debug, Object, Validate)]
pub(crate) struct OrganizationCreate {
    /// Unique in the installation.
    #[oai(validator(
        min_length = 1,
        max_length = 40,
        pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
    ))]
    slug: String,
    /// For people; the slug where it is not given.
    #[oai(validator(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    name: Option<String>,
    /// Its first owner: the email address of a person who exists. Where it is not given, invite one.
    owner: Option<EmailText>,
}

/// A tenant.
#[derive(Debug, Object)]
#[oai(rename = "Organization")]
pub(crate) struct OrganizationObject {
    /// Its id (`org_…`).
    id: String,
    /// Unique in the installation.
    slug: String,
    /// For people.
    name: String,
    /// Since when it can be read and not changed.
    suspended_at: Option<DateTime<Utc>>,
    /// Why.
    suspended_reason: Option<String>,
    /// What it may have beyond the policy.
    policy_exceptions: Vec<Word<PolicyException>>,
    /// When it ends, with all that is its own; `null`: it does not.
    delete_after: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
}

impl From<Organization> for OrganizationObject {
    fn from(row: Organization) -> Self {
        Self {
            id: row.id.to_string(),
            slug: row.slug,
            name: row.name,
            suspended_at: row.suspended_at,
            suspended_reason: row.suspended_reason,
            policy_exceptions: row.policy_exceptions.into_iter().map(Word).collect(),
            delete_after: row.delete_after,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Why an organization is suspended.
#[derive(Debug, Object, Validate)]
pub(crate) struct SuspensionCreate {
    /// For its members and for operators.
    #[oai(validator(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    reason: String,
}

/// How an organization ends.
#[derive(Debug, Object, Validate)]
pub(crate) struct DeletionCreate {
    /// Hours in which it can be taken back.
    #[oai(default = "default_grace", validator(minimum(value = "0"), maximum(value = "8760")))]
    grace_hours: u32,
}

const fn default_grace() -> u32 {
    168
}

/// The answer to a deletion, or to its end.
#[derive(ApiResponse)]
pub(crate) enum OrganizationEnding {
    /// It ends at `delete_after`, or does not.
    #[oai(status = 202)]
    Accepted(Json<OrganizationObject>),
}

/// What an organization may have beyond the policy.
#[derive(Debug, Object, Validate)]
pub(crate) struct PolicyExceptions {
    /// All of it: what is not named is taken back.
    #[oai(validator(max_items = 8))]
    exceptions: Vec<Word<PolicyException>>,
}

/// The answer to a suspension, or to its end.
#[derive(ApiResponse)]
pub(crate) enum OrganizationChanged {
    /// The organization as it is now.
    #[oai(status = 200)]
    Changed(Json<OrganizationObject>),
}

/// The answer to a created organization.
#[derive(ApiResponse)]
pub(crate) enum OrganizationCreated {
    /// It is there, with its environment `production`.
    #[oai(status = 201)]
    Created(
        Json<OrganizationObject>,
        /// Path of the organization.
        #[oai(header = "Location")]
        String,
    ),
}

#[OpenApi(tag = "Tag::Organizations")]
impl Organizations {
    /// Make an organization
    ///
    /// It is born with the environment `production`, which has a subnet of its own. For operators.
    #[oai(path = "/v1/organizations", method = "post", operation_id = "organization_create")]
    async fn create(
        &self,
        access: Access<action::OrganizationCreate, OperatorScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<OrganizationCreate>,
    ) -> Result<Done<OrganizationCreated>, Problem> {
        let request = access.request(key.with(&body));
        let OrganizationCreate { slug, name, owner } = body.value;
        let owner = owner.map(|EmailText(email)| email);
        let slug: Slug = slug.parse().map_err(Error::internal)?;
        let name = name.unwrap_or_else(|| slug.to_string());
        let database = &access.state.database;
        let answer = |made: Organization| {
            let location = format!("/v1/organizations/{slug}");
            kept(OrganizationCreated::Created(Json(made.into()), location))
        };
        let answered = organization_create(
            database,
            access.scope,
            &slug,
            &name,
            owner.as_ref(),
            &request,
            answer,
        )
        .await?;
        Ok(Done::of(answered)?)
    }

    /// List the organizations
    ///
    /// Oldest first. For operators.
    #[oai(path = "/v1/organizations", method = "get", operation_id = "organization_list")]
    async fn list(
        &self,
        access: Access<action::OrganizationList, OperatorScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<OrganizationObject>>, Problem> {
        let page = organization_list(&access.state.database, access.scope, page).await?;
        Ok(Json(PageObject::of(page, OrganizationObject::from)))
    }

    /// Get an organization
    #[oai(
        path = "/v1/organizations/:organization",
        method = "get",
        operation_id = "organization_get"
    )]
    async fn get(
        &self,
        access: Access<action::OrganizationRead, OrgScope>,
    ) -> Result<Json<OrganizationObject>, Problem> {
        let found = organization_get(&access.state.database, access.scope).await?;
        Ok(Json(found.into()))
    }

    /// Suspend an organization
    ///
    /// Within a second its members and tokens read and change nothing; what runs runs on. Suspending it
    /// again tells another reason. For operators and billing systems.
    #[oai(
        path = "/v1/organizations/:organization/suspend",
        method = "post",
        operation_id = "organization_suspend"
    )]
    async fn suspend(
        &self,
        access: Access<action::OrganizationSuspend, OrgScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<SuspensionCreate>,
    ) -> Result<Done<OrganizationChanged>, Problem> {
        let key = key.with(&body);
        suspend(&access, Some(&body.value.reason), key).await
    }

    /// Resume a suspended organization
    ///
    /// Its members and tokens may do again what they might before. For operators and billing systems.
    #[oai(
        path = "/v1/organizations/:organization/resume",
        method = "post",
        operation_id = "organization_resume"
    )]
    async fn resume(
        &self,
        access: Access<action::OrganizationSuspend, OrgScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Done<OrganizationChanged>, Problem> {
        suspend(&access, None, key.alone()).await
    }

    /// Delete an organization
    ///
    /// It can be read and not changed from now on, and what runs runs on. After the hours of grace its apps are
    /// removed, and then its environments, networks, members, tokens and history; the audit log stays, and the slug is
    /// free. For operators.
    #[oai(
        path = "/v1/organizations/:organization/deletion",
        method = "post",
        operation_id = "organization_delete"
    )]
    async fn delete(
        &self,
        access: Access<action::OrganizationDelete, OrgScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<DeletionCreate>,
    ) -> Result<Done<OrganizationEnding>, Problem> {
        let grace = TimeDelta::hours(body.value.grace_hours.into());
        end(&access, Some(grace), key.with(&body)).await
    }

    /// Take the deletion of an organization back
    ///
    /// While its hours of grace last. For operators.
    #[oai(
        path = "/v1/organizations/:organization/restore",
        method = "post",
        operation_id = "organization_restore"
    )]
    async fn restore(
        &self,
        access: Access<action::OrganizationDelete, OrgScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
    ) -> Result<Done<OrganizationEnding>, Problem> {
        end(&access, None, key.alone()).await
    }

    /// Set what an organization may have beyond the policy
    ///
    /// Within a second new specs may have it, and specs that have what was taken back are deployed no more;
    /// what runs runs on. For operators.
    #[oai(
        path = "/v1/organizations/:organization/policy-exceptions",
        method = "put",
        operation_id = "policy_exceptions_set"
    )]
    async fn except(
        &self,
        access: Access<action::ExceptionManage, OrgScope>,
        body: Body<PolicyExceptions>,
    ) -> Result<Json<OrganizationObject>, Problem> {
        let request = access.request(None);
        let exceptions = body.value.exceptions.iter().map(|Word(exception)| *exception).collect();
        let database = &access.state.database;
        let changed = organization_except(database, access.scope, exceptions, &request).await?;
        Ok(Json(changed.into()))
    }
}

async fn suspend(
    access: &Access<action::OrganizationSuspend, OrgScope>,
    reason: Option<&str>,
    key: Option<IdempotencyKey>,
) -> Result<Done<OrganizationChanged>, Problem> {
    let request = access.request(key);
    let answer = |changed: Organization| kept(OrganizationChanged::Changed(Json(changed.into())));
    let database = &access.state.database;
    let answered = organization_suspend(database, access.scope, reason, &request, answer).await?;
    Ok(Done::of(answered)?)
}

async fn end(
    access: &Access<action::OrganizationDelete, OrgScope>,
    grace: Option<TimeDelta>,
    key: Option<IdempotencyKey>,
) -> Result<Done<OrganizationEnding>, Problem> {
    let request = access.request(key);
    let answer = |changed: Organization| kept(OrganizationEnding::Accepted(Json(changed.into())));
    let database = &access.state.database;
    let answered = organization_delete(database, access.scope, grace, &request, answer).await?;
    Ok(Done::of(answered)?)
}
