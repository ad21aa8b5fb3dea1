//! Drives Docker Swarm: takes deployments out of the ledger, brings them to a true verdict, and
//! watches over what is live then. Knows no HTTP; drives through [`ledger`] and [`wakeups`], behind which are
//! Postgres and the broker; knows Docker only under [`swarm`].

pub mod answers;
pub mod audit_chain;
pub mod deployment;
pub mod disk_audit;
mod drift_report;
pub mod endings;
mod files;
mod image;
pub mod isolation;
mod lease;
pub mod ledger;
pub mod live;
pub mod logs;
mod network;
pub mod network_audit;
pub mod node_audit;
mod probe;
pub mod purge;
mod render;
pub mod retention;
pub mod retirements;
pub mod runner;
pub mod secret_keeping;
mod surroundings;
pub mod swarm;
pub mod vault;
pub mod wakeups;

pub use answers::Answers;
pub use audit_chain::AuditChain;
pub use disk_audit::DiskAudit;
pub use endings::Endings;
pub use isolation::IsolationChecks;
pub use ledger::Ledger;
pub use live::Live;
pub use logs::Logs;
pub use network_audit::NetworkAudit;
pub use node_audit::NodeAudit;
pub use purge::Purge;
pub use retention::Retention;
pub use retirements::Retirements;
pub use runner::Runner;
pub use secret_keeping::SecretKeeping;
pub use vault::{SealedVault, Vault};
