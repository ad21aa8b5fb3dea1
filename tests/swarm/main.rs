//! The whole product on a real dockerd: a file per part of a deployment's life.

mod first_deploy;
mod specs;
