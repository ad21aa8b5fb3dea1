//! Drives Docker Swarm: takes deployments out of the ledger, brings them to a true verdict, and
//! projects what runs. Knows no HTTP; knows the broker only through `queue`, Docker only under
//! [`swarm`].

pub mod deployment;
mod image;
mod lease;
mod network;
mod probe;
pub mod projection;
pub mod purge;
mod render;
pub mod runner;
pub mod swarm;

pub use projection::Projection;
pub use purge::Purge;
pub use runner::Runner;
