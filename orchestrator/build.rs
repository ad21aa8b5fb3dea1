//! Builds the probes, static programs of workspaces of their own (other profiles, one without the standard library), so that the
//! worker carries them and `cargo build` is all that anyone has to run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    // A config of Swarm's may have a megabyte: no standard library, and its own way to be static.
    build("probe", "skep-probe", "SKEP_PROBE", &[]);
    build(
        "isolation-probe",
        "isolation-probe",
        "SKEP_ISOLATION_PROBE",
        &["--", "-C", "target-feature=+crt-static"],
    );
}

/// Builds the program of `../{folder}`; its path is in `variable` for `env!`.
#[allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "cargo speaks to build scripts through the environment, and listens to their exit"
)]
fn build(folder: &str, program: &str, variable: &str, flags: &[&str]) {
    let source = Path::new("..").join(folder);
    for part in ["Cargo.toml", "Cargo.lock", "build.rs", "src"] {
        let part = source.join(part);
        // What is not there is looked for at every build.
        if part.exists() {
            println!("cargo::rerun-if-changed={}", part.display());
        }
    }
    let told = |name| env::var_os(name).map(PathBuf::from);
    let (Some(out), Some(cargo)) = (told("OUT_DIR"), told("CARGO")) else {
        panic!("build scripts are run by cargo");
    };
    let target = out.join(folder);
    let status = Command::new(cargo)
        .args(["rustc", "--release", "--quiet", "--locked", "--bin", program, "--manifest-path"])
        .arg(source.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .args(flags)
        // Flags meant for the workspace (sanitizers, coverage) do not fit a program without std.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // It would move the output.
        .env_remove("CARGO_BUILD_TARGET")
        // Under clippy the program would come out with other bytes, and so with another name.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{folder} did not build");
    println!("cargo::rustc-env={variable}={}", target.join("release").join(program).display());
}
