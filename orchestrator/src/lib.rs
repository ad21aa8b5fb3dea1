//! Drives Swarm.
pub mod swarm;
