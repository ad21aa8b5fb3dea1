//! The words of Skep as types: ids, rows, the app spec, the deployment state machine, subnet
//! carving and the policy of what a tenant may ask for.
//!
//! Nothing in here does I/O: no runtime, no HTTP, no broker, no Docker. Whoever wants to know what
//! a word means reads this crate; whoever wants to see it happen reads `db`, `api` or
//! `orchestrator`.

pub mod app;
pub mod app_status;
pub mod audit;
pub mod capacity;
pub mod crash_loop;
pub mod deployment;
pub mod disk;
pub mod drift;
pub mod email;
pub mod envelope;
pub mod environment;
pub mod error;
pub mod evidence;
pub mod fingerprint;
pub mod health_check;
pub mod id;
pub mod image;
pub mod invitation;
pub mod isolation_check;
pub mod log;
mod log_cursor;
pub mod member;
pub mod names;
pub mod network;
pub mod organization;
pub mod password;
pub mod platform;
pub mod policy;
pub mod question;
pub mod quota;
pub mod rate;
pub mod reason;
pub mod registry_credential;
pub mod release;
#[allow(missing_docs, clippy::all)]
pub mod schema;
pub mod secret;
pub mod slug;
pub mod spec;
pub mod status;
pub mod stored;
pub mod subnet;
pub mod subnet_pool;
mod text_enum;
pub mod token;
pub mod update_policy;
pub mod user;

pub use error::{Error, Result};
