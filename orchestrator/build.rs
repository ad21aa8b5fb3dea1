//! Builds the health probe, a static program of its own workspace (no standard library, another
//! profile), so that the worker carries it and `cargo build` is all that anyone has to run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

#[allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "cargo speaks to build scripts through the environment, and listens to their exit"
)]
fn main() {
    let probe = Path::new("../probe");
    for source in ["Cargo.toml", "Cargo.lock", "build.rs", "src"] {
        println!("cargo::rerun-if-changed={}", probe.join(source).display());
    }
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let (Some(out), Some(cargo)) = (variable("OUT_DIR"), variable("CARGO")) else {
        panic!("build scripts are run by cargo");
    };
    let target = out.join("probe");
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--locked", "--manifest-path"])
        .arg(probe.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        // Flags meant for the workspace (sanitizers, coverage) do not fit a program without std.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // It would move the output.
        .env_remove("CARGO_BUILD_TARGET")
        // Under clippy the probe would come out with other bytes, and so with another name.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the health probe did not build");
    println!("cargo::rustc-env=SKEP_PROBE={}", target.join("release").join("skep-probe").display());
}
