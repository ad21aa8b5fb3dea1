//! The audit log as lines of JSON: read page by page as the client takes them, so that neither this process
//! nor Postgres holds more than a page.

use db::audit::read::{AuditFilter, AuditOrder, AuditScope, audit_list};
use db::page::MAX_LIMIT;
use db::{Database, Page, PageRequest};
use futures::stream::{self, StreamExt as _};
use model::Result;
use model::audit::AuditRecord;
use poem::Body;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Binary;
use poem_openapi::types::ToJSON as _;

use super::objects::AuditEntryObject;

/// The answer to an export.
#[derive(ApiResponse)]
pub(crate) enum AuditExport {
    /// A line of JSON for each entry: an `AuditEntry`.
    #[oai(status = 200, content_type = "application/jsonl")]
    Lines(Binary<Body>),
}

/// What is exported, and how far it is.
pub(super) struct Export {
    database: Database,
    scope: AuditScope,
    filter: AuditFilter,
    page: PageRequest,
}

impl Export {
    pub(super) const fn new(database: Database, scope: AuditScope, filter: AuditFilter) -> Self {
        let page = PageRequest { after: None, limit: MAX_LIMIT };
        Self { database, scope, filter, page }
    }

    /// Reads the first page, so that what is refused is a problem; the others follow as they are taken.
    pub(super) async fn begin(self) -> Result<AuditExport> {
        let first = self.read().await?;
        let next = self.after(&first);
        let rest = stream::unfold(next, |next| async move {
            let export = next?;
            match export.read().await {
                Ok(page) => Some((Ok(lines(&page)), export.after(&page))),
                Err(error) => {
                    tracing::warn!(error = %error.chain(), "an export of the audit log ended early");
                    // The connection ends without the last chunk: that tells the client.
                    Some((Err(std::io::Error::other("the export ended early")), None))
                }
            }
        });
        let lines = stream::iter([Ok(lines(&first))]).chain(rest);
        Ok(AuditExport::Lines(Binary(Body::from_bytes_stream(lines))))
    }

    async fn read(&self) -> Result<Page<AuditRecord>> {
        let order = AuditOrder::OldestFirst;
        audit_list(&self.database, self.scope, &self.filter, order, self.page).await
    }

    /// What is left behind this page.
    fn after(&self, page: &Page<AuditRecord>) -> Option<Self> {
        let after = page.next?;
        Some(Self {
            database: self.database.clone(),
            scope: self.scope,
            filter: self.filter.clone(),
            page: PageRequest { after: Some(after), ..self.page },
        })
    }
}

fn lines(page: &Page<AuditRecord>) -> String {
    let mut lines = String::new();
    for record in &page.items {
        lines.push_str(&AuditEntryObject::from(record.clone()).to_json_string());
        lines.push('\n');
    }
    lines
}
