//! Members: what a person is in an organization.

use crate::text_enum::text_enum;

text_enum! {
    /// What a member may do in an organization; `policy::access` has the table.
    pub enum Role {
        /// Everything, and alone makes other owners.
        Owner => "owner",
        /// Everything but owners.
        Admin => "admin",
        /// Apps and their deployments.
        Developer => "developer",
        /// Reads.
        Viewer => "viewer",
        /// Plans, quotas and usage; no apps.
        Billing => "billing",
    }
}
