//! What the audit log is told of a request beside what it changes: that an operator looks into an organization,
//! and that somebody who is known was refused.

use db::audit::{audit_look, audit_refused};
use db::credentials::Holder;
use db::{Actor, Database};
use model::error::ErrorCode;
use model::{Error, Result};

use super::action::Needs;

/// Most bytes of a path that are kept.
const MAX_PATH: usize = 1024;

/// What was tried.
pub(super) struct Tried<'a> {
    pub(super) needs: Needs,
    pub(super) holder: &'a Holder,
    pub(super) path: &'a str,
}

impl Tried<'_> {
    /// Writes it down where it has to be. What an operator looks at is not shown before that is written; a
    /// refusal stands, written down or not.
    pub(super) async fn write_down(
        &self,
        database: &Database,
        actor: &Actor,
        refusal: Option<&Error>,
    ) -> Result<()> {
        // A URI is ASCII.
        let path = self.path.get(..MAX_PATH).unwrap_or(self.path);
        match (refusal.map(|error| error.code), self.needs) {
            (None, Needs::Action(action)) if action.is_read() && self.is_an_operators() => {
                match self.holder.organization {
                    Some(organization) => {
                        audit_look(database, actor, Some(organization), action, path).await
                    }
                    None => Ok(()),
                }
            }
            (Some(ErrorCode::Forbidden | ErrorCode::OrganizationSuspended), needs) => {
                let organization = self.holder.organization.filter(|_| self.holder.is_somebody());
                let written =
                    audit_refused(database, actor, organization, needs.name(), path).await;
                if let Err(error) = written {
                    tracing::warn!(error = %error.chain(), "a refusal was not written down");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the holder is where they are as an operator, and not as a member.
    const fn is_an_operators(&self) -> bool {
        self.holder.platform_role.is_some() && self.holder.role.is_none()
    }
}
