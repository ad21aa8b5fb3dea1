//! What a C library would do for the program: the entry point, the arguments, stdout, the exit, the panic.
//!
//! Beside `memory.rs` the only place of this package with `unsafe` code. Nothing here knows what the program is for.

#![allow(unsafe_code)]

use core::arch::{asm, naked_asm};
use core::panic::PanicInfo;
use core::slice;

use skep_probe::{Exit, Line};

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("skep-probe has no entry point for this target: add it to probe/src/start.rs");

/// Where the kernel starts the program: marks the outermost frame, aligns the stack and hands its first address on.
///
/// # Safety
/// Only the kernel may come here, with the initial process stack.
// SAFETY (of no_mangle): the linker looks for this name, and without a C library nobody else defines it.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {enter}", "ud2", enter = sym enter);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x29, xzr", "mov x30, xzr", "mov x0, sp", "bl {enter}", "brk #1", enter = sym enter);
}

/// # Safety
/// `stack` is the initial process stack: the number of arguments, that many pointers to C strings, and a null.
unsafe extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: by the ABI of both architectures the word at the stack's first address is the number of arguments.
    let count = unsafe { stack.read() };
    // SAFETY: the pointers begin at the word after it, which is a part of the same stack.
    let first = unsafe { stack.add(1) }.cast::<*const u8>();
    // SAFETY: there are `count` of them, and nobody writes there as long as the program runs.
    let pointers = unsafe { slice::from_raw_parts(first, count) };
    exit(crate::main(Arguments { pointers: pointers.iter() }))
}

/// The arguments as bytes, the program's name first.
pub(crate) struct Arguments {
    // Only `enter` makes one: each pointer is a C string of the initial stack.
    pointers: slice::Iter<'static, *const u8>,
}

impl Iterator for Arguments {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let start = *self.pointers.next()?;
        let mut length = 0;
        // Volatile, or the compiler would put the C library's `strlen` here.
        // SAFETY: the string ends with a zero byte, so each byte up to there can be read.
        while unsafe { start.add(length).read_volatile() } != 0 {
            length += 1;
        }
        // SAFETY: these bytes have just been read, and they stay as they are for the life of the process.
        Some(unsafe { slice::from_raw_parts(start, length) })
    }
}

/// Writes the line to stdout. Where that is closed or full there is nobody to tell; the exit code still counts.
pub(crate) fn print(line: &Line) {
    // SAFETY: the program never closes a descriptor that it did not open, so 1 is stdout or not open at all;
    // in the second case a socket may have got the number, but by now it is closed again.
    let stdout = unsafe { rustix::stdio::stdout() };
    let _ = rustix::io::write(stdout, line.as_bytes());
}

/// Ends the process.
fn exit(code: Exit) -> ! {
    // SAFETY: exit_group takes one number, touches no memory and does not return.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", in("rax") 231, in("rdi") code as i32, options(noreturn, nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc #0", in("x8") 94, in("x0") code as i32, options(noreturn, nostack));
    }
}

/// No panic is known; if there is one, the app must not count as healthy.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    print(&Line::of("probe failed: internal error"));
    exit(Exit::Unhealthy)
}
