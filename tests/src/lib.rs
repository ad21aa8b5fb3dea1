//! The harness: a whole installation of Skep for each test, on the real Postgres, RabbitMQ and
//! dockerd that `./dev test` starts.
//!
//! A test is a story told through the public API: [`run()`] hands it an installation of its own (a
//! database, a queue prefix, a platform name and a range of subnets that no other test has), and
//! takes everything away again, also after a panic. Nothing in here waits by sleeping: [`wait`]
//! waits for a level, with a bound.

pub mod answer;
pub mod api;
pub mod broker;
pub mod certificates;
pub mod client;
pub mod compatibility;
pub mod contract;
pub mod database;
pub mod dev;
pub mod docker;
pub mod encrypted_postgres;
pub mod environment;
pub mod follow;
pub mod holders;
pub mod images;
pub mod keyring;
mod mark;
pub mod node;
pub mod people;
pub mod pretend;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod rig;
pub mod run;
pub mod search;
pub mod site;
pub mod skep;
pub mod specs;
pub mod sql;
pub mod subnets;
pub mod sweep;
mod template;
pub mod tenant;
pub mod twin;
pub mod wait;
pub mod watched;
pub mod wire;

pub use answer::Answer;
pub use client::Client;
pub use run::run;
pub use skep::Skep;
pub use tenant::Tenant;
pub use wait::{wait_for, wait_until};

/// How a test ends.
pub type Outcome = anyhow::Result<()>;
