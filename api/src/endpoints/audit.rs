//! The audit log: who did what, who looked, and who was refused. Nothing here writes it.

mod export;
mod filter;
mod objects;

use db::audit::read::{AuditFilter, AuditOrder, AuditScope, audit_list, audit_open};
use db::{OperatorScope, OrgScope};
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::Tag;
use crate::access::{Access, action};
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use export::{AuditExport, Export};
use filter::FilterQuery;
pub(crate) use filter::parameters;
use objects::AuditEntryObject;

/// The endpoints of the audit log.
pub(crate) struct AuditEndpoints;

#[OpenApi(tag = "Tag::Audit")]
impl AuditEndpoints {
    /// Read an organization's audit log
    ///
    /// Newest first.
    #[oai(
        path = "/v1/organizations/:organization/audit",
        method = "get",
        operation_id = "audit_list"
    )]
    async fn list(
        &self,
        access: Access<action::AuditRead, OrgScope>,
        PageQuery(page): PageQuery,
        FilterQuery(filter): FilterQuery,
    ) -> Result<Json<PageObject<AuditEntryObject>>, Problem> {
        let scope = AuditScope::Organization(access.scope);
        let order = AuditOrder::NewestFirst;
        let page = audit_list(&access.state.database, scope, &filter, order, page).await?;
        Ok(Json(PageObject::of(page, AuditEntryObject::from)))
    }

    /// Export an organization's audit log
    ///
    /// All that the filter lets through, oldest first, a line of JSON for each entry. An answer that ends before
    /// its last chunk is not whole.
    #[oai(
        path = "/v1/organizations/:organization/audit/export",
        method = "get",
        operation_id = "audit_export"
    )]
    async fn export(
        &self,
        access: Access<action::AuditExport, OrgScope>,
        FilterQuery(filter): FilterQuery,
    ) -> Result<AuditExport, Problem> {
        let scope = AuditScope::Organization(access.scope);
        Ok(Export::new(access.state.database.clone(), scope, filter).begin().await?)
    }

    /// Read every audit log
    ///
    /// The organizations' and the platform's own, newest first. That it was read is written into the log of the
    /// organization that is asked for, or else into the platform's own. For operators.
    #[oai(path = "/v1/admin/audit", method = "get", operation_id = "platform_audit_list")]
    async fn list_everywhere(
        &self,
        access: Access<action::PlatformAuditRead, OperatorScope>,
        PageQuery(page): PageQuery,
        FilterQuery(filter): FilterQuery,
    ) -> Result<Json<PageObject<AuditEntryObject>>, Problem> {
        open(&access, &filter, "/v1/admin/audit").await?;
        let scope = AuditScope::Platform(access.scope);
        let order = AuditOrder::NewestFirst;
        let page = audit_list(&access.state.database, scope, &filter, order, page).await?;
        Ok(Json(PageObject::of(page, AuditEntryObject::from)))
    }

    /// Export every audit log
    ///
    /// All that the filter lets through, oldest first, a line of JSON for each entry. An answer that ends before
    /// its last chunk is not whole. That it was read is written down as for the list. For operators.
    #[oai(path = "/v1/admin/audit/export", method = "get", operation_id = "platform_audit_export")]
    async fn export_everywhere(
        &self,
        access: Access<action::PlatformAuditExport, OperatorScope>,
        FilterQuery(filter): FilterQuery,
    ) -> Result<AuditExport, Problem> {
        open(&access, &filter, "/v1/admin/audit/export").await?;
        let scope = AuditScope::Platform(access.scope);
        Ok(Export::new(access.state.database.clone(), scope, filter).begin().await?)
    }
}

/// What is not written down is not shown.
async fn open<A>(
    access: &Access<A, OperatorScope>,
    filter: &AuditFilter,
    path: &str,
) -> Result<(), Problem> {
    Ok(audit_open(&access.state.database, access.scope, filter, &access.actor, path).await?)
}
