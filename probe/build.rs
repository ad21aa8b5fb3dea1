//! How the program is linked. It lives here, not in RUSTFLAGS or a `.cargo/config.toml`, so that it holds
//! whoever starts cargo, from whichever directory.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in [
        // No start files and no C library at all. If a function of the latter slips in (a `memcpy`, say, which in
        // static glibc needs start code that we do not have), the linker says so now; otherwise it would
        // crash in a tenant's container.
        "-nostdlib",
        // At a fixed address and without an interpreter: nobody would apply relocations.
        "-static",
        "-no-pie",
        // A fingerprint of the build has no use in a program of this size.
        "-Wl,--build-id=none",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
