//! Names the schema that this build embeds. The name is taken where `db` takes the migrations, at
//! compile time: of the files as they are at run time, an edit between the two would give a
//! template the name of a schema that it does not have, and every later run would trust it.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Result;
use std::path::Path;

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=../migrations");
    let mut folders =
        fs::read_dir(Path::new("../migrations"))?.collect::<Result<Vec<fs::DirEntry>>>()?;
    folders.sort_by_key(fs::DirEntry::file_name);
    let mut hash = DefaultHasher::new();
    for folder in folders {
        folder.file_name().hash(&mut hash);
        fs::read(folder.path().join("up.sql"))?.hash(&mut hash);
    }
    println!("cargo::rustc-env=SKEP_SCHEMA={:016x}", hash.finish());
    Ok(())
}
