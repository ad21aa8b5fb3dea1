//! Contracts: what a thing in memory and the real one both have to do. Each case is one story, told
//! on a stage that either side brings; where they disagree, the twin is wrong and is mended.

pub mod ledger;
pub mod swarm;
