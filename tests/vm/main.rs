//! What the kernels that the suite runs on lack, in a virtual machine whose kernel has it (`./dev rig vm`): encryption between nodes,
//! seen on the wire beside a control that is not encrypted; virtual addresses; updates through them. Everything is deployed by Skep,
//! on two nodes. In this order: what the firewall loses comes last.

mod a_isolation;
mod b_wire;
mod c_update;
mod crossing;

use tests::specs;
