//! Every SQL statement of Skep, one file per resource.
//!
//! Query functions are noun-first (`app_get`, `deployment_accept`) and take the scope that they
//! are confined to as an argument: a tenant's rows cannot be asked for without an [`OrgScope`].
//! Nothing in here knows of HTTP, AMQP or Docker.

mod address;
pub mod app_disk;
pub mod app_status;
pub mod apps;
pub mod audit;
pub mod bootstrap;
pub mod crash_loops;
pub mod credentials;
pub mod dead_letters;
pub mod deletions;
pub mod deployments;
pub mod drift;
pub mod environments;
mod failure;
pub mod history;
pub mod invitations;
pub mod isolation_checks;
pub mod ledger;
pub mod live;
pub mod log_subjects;
pub mod logins;
pub mod members;
pub mod migrations;
pub mod networks;
pub mod notifications;
mod now;
pub mod organizations;
pub mod outbox;
pub mod page;
pub mod passwords;
pub mod plans;
pub mod platform;
pub mod pool;
mod prepared;
pub mod quotas;
pub mod rates;
pub mod registry_credentials;
pub mod releases;
pub mod requests;
mod reservations;
pub mod reserved_ranges;
pub mod retention;
pub mod scope;
mod sealer;
pub mod sealing_keys;
pub mod secrets;
pub mod segment;
pub mod sessions;
pub mod subnet_pools;
mod subnets;
pub mod swarm_seen;
pub mod tokens;
pub mod trust;
pub mod users;
pub mod work;

pub use failure::Failure;
pub use page::{Cursor, Page, PageRequest};
pub use pool::Database;
pub use requests::{Answer, Answered, Expected, IdempotencyKey, Request};
pub use scope::{
    Actor, AppScope, Credential, EnvironmentScope, MembershipScope, OperatorScope, OrgScope,
    SecretScope, UserScope,
};
pub use segment::Segment;
