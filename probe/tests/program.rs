//! Reads the finished program as the kernel does: what it needs around it is what a container FROM scratch has,
//! which is nothing.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;

/// What Swarm takes as a config.
const CONFIG_LIMIT: usize = 1_024_000;

/// Our own aim: it is mounted into every container, so somebody should ask when it grows.
const AIM: usize = 30_000;

const ET_EXEC: u16 = 2;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

fn field<const N: usize>(program: &[u8], offset: usize) -> [u8; N] {
    program[offset..offset + N].try_into().expect("inside the file")
}

#[test]
fn is_small_static_and_at_a_fixed_address() {
    let program = fs::read(env!("CARGO_BIN_EXE_skep-probe")).expect("the program");
    const { assert!(AIM < CONFIG_LIMIT) };
    assert!(program.len() <= AIM, "{} bytes", program.len());

    assert_eq!(field(&program, 0), *b"\x7fELF");
    assert_eq!(u16::from_le_bytes(field(&program, 16)), ET_EXEC, "nobody would relocate it");
    let headers = usize::try_from(u64::from_le_bytes(field(&program, 32))).expect("fits");
    let size = usize::from(u16::from_le_bytes(field(&program, 54)));
    let count = usize::from(u16::from_le_bytes(field(&program, 56)));
    let kinds: Vec<u32> = (0..count)
        .map(|index| u32::from_le_bytes(field(&program, headers + index * size)))
        .collect();
    assert!(kinds.contains(&PT_LOAD), "{kinds:?}");
    assert!(!kinds.contains(&PT_INTERP), "needs a dynamic linker: {kinds:?}");
    assert!(!kinds.contains(&PT_DYNAMIC), "needs libraries or relocations: {kinds:?}");
}
