//! The whole product on a real dockerd: API, Postgres, RabbitMQ, worker, Swarm. A file per part of
//! a deployment's life. Every story runs on an installation of its own, beside the others.

mod availability;
mod canceling;
mod contract;
mod crash_loops;
mod disk;
mod drift;
mod endings;
mod environments;
mod failures;
mod first_deploy;
mod images;
mod isolation;
mod isolation_checks;
mod limits;
mod live_status;
mod logs;
mod other_nodes;
mod pulls;
mod recovery;
mod registries;
mod removal;
mod retention;
mod rollback;
mod scaling;
mod scheduling;
mod secret_scan;
mod secrets;
mod stopping;
mod superseding;
mod tcp_checks;
mod unchanged;

use tests::specs;
