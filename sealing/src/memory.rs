//! What a process has in its memory stays there: no core is written of one that held values or keys, and no other process of its user
//! may look into it.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// To be called first of all.
pub fn keep_to_itself() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // Where cores are piped to a program the limit does not count: this does.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
