//! The whole product on several real nodes in one Swarm. What takes minutes is run by `./dev rig` only.

mod drain;
mod isolation;
mod loss;
mod many;
mod partition;
mod racing;
mod spread;
mod survey;

use tests::specs;
