//! What the kernels that the suite runs on lack, in a virtual machine whose kernel has it (`./dev rig vm`): encryption between nodes,
//! seen on the wire beside a control that is not encrypted; virtual addresses; updates through them. Everything is deployed by Skep,
//! on two nodes. What a test flushes of a firewall is of its own network: Docker writes rules for each.

mod crossing;
mod encryption;
mod isolation;
mod virtual_addresses;

use tests::specs;
