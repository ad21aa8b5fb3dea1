//! Twins: in-memory stand-ins for what Skep stands on, for the seeded fault search. Each is held to
//! the real one by a contract suite. No twin does I/O, sleeps or reads another clock than tokio's,
//! so that thousands of schedules run in seconds, and a seed tells the same story each time.

pub mod swarm;
