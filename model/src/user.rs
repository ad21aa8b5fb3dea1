//! Users: people. What a person may do in an organization is a membership; what they may do to the
//! platform itself is a role of their own.

use crate::text_enum::text_enum;

text_enum! {
    /// What a person, or a token, may do to the platform itself.
    pub enum PlatformRole {
        /// Everything: people, hosts and credentials too.
        Admin => "admin",
        /// Everything that runs, of every tenant.
        Operator => "operator",
        /// Reads.
        Viewer => "viewer",
    }
}
