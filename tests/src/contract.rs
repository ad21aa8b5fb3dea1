//! Contract suites: what a twin and the real thing both have to do, written once. A suite is told
//! on a stage; each side brings its own.

pub mod swarm;
