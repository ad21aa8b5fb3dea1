//! The API, the ledger and the queue on real Postgres and RabbitMQ, without a Swarm: verdicts are
//! pretended (`tests::pretend`). A file per resource.

mod addresses;
mod app_status;
mod apps;
mod audit;
mod audit_chain;
mod audit_reading;
mod bad_specs;
mod canceling;
mod compatibility;
mod crash_loops;
mod dead_letters;
mod deadlines;
mod deployments;
mod doors;
mod drift;
mod entity_tags;
mod environments;
mod fairness;
mod health;
mod http;
mod idempotency;
mod invitations;
mod isolation;
mod isolation_checks;
mod keyring;
mod ledger;
mod ledger_contract;
mod live;
mod log_streams;
mod measures;
mod members;
mod openapi;
mod organizations;
mod paging;
mod parsers;
mod passwords;
mod policy_exceptions;
mod quotas;
mod rates;
mod relay;
mod releases;
mod retention;
mod row_security;
mod schema;
mod secrets;
mod sessions;
mod slow_clients;
mod stopping;
mod subnets;
mod superseding;
mod tls;
mod tokens;
mod users;

use serde_json::{Value, json};

/// The least that an app needs.
fn web() -> Value {
    json!({ "image": "skep-demo:v1" })
}
